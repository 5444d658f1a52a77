"""SQL and nothing else. Its functions take an open transaction; they never open one."""
