"""Measures Campaign and tries to break it: real programs, real databases, real relays. It never ships in the wheel.

`python -m benchmarks` prints the figures, `python -m benchmarks proof` runs the long scripts that pass or fail.
"""
