"""Programs of our own that run beside the daemon, and the line between: what each of them does stands in other rooms.

Threads of one process wait for Python's lock and for each other; a process of its own need not.
"""
