"""All capabilities, for the functions that compose every one. Their order is that of their hooks' calls."""

from .automatic_attempts.hooks import AUTOMATIC_ATTEMPTS
from .erasure.exclusion import ERASURE_EXCLUSION
from .erasure.hooks import ERASURE
from .failure_groups.hooks import FAILURE_GROUPS
from .recoveries.hooks import RECOVERIES

EVERY = (ERASURE_EXCLUSION, AUTOMATIC_ATTEMPTS, FAILURE_GROUPS, RECOVERIES, ERASURE)
