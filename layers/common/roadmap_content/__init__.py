"""Saves generated learning content, records what happened, and finds what is missing."""

import gc

# What is imported stays and what JSON holds has no cycles: with CPython's own thresholds, much of a cold
# start and of reading a large framework goes into looking for some.
gc.set_threshold(100_000, 20, 100)

__version__ = "0.1.0"
