"""Campaign: plans, renders and sends awareness-campaign letters, and can prove who got which.

The house is built of floors (what kind of knowledge a module holds) and rooms (which noun it is about); imports only go
downstairs: cli > bootstrap > web, runtime > actions > store, mail > settings, assets, logs, clock, keys > domain.
"""

__version__ = "0.1.0"
