"""Save generated learning content, record failures, and retry missing items."""

import gc

# Imported modules are never freed, and parsed JSON has no reference cycles. With CPython's default
# thresholds, the garbage collector takes a large part of a cold start and of reading a large framework.
gc.set_threshold(100_000, 20, 100)

__version__ = "0.1.0"
