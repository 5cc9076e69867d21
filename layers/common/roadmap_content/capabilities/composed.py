"""All capabilities, for the functions that compose every one. Their order is that of their locks."""

from .erasure.hooks import ERASURE
from .recoveries.hooks import RECOVERIES

EVERY = (ERASURE, RECOVERIES)
