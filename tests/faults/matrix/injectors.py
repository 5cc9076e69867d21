"""The implementation of each fault, by real means, for every step. Importing the modules registers them."""

from tests.faults.matrix import (
    check_faults,
    database_faults,
    execution_faults,
    invocation_faults,
    lock_faults,
    start_faults,
    storage_faults,
)
from tests.faults.matrix.registry import INJECTORS

__all__ = [
    "INJECTORS",
    "check_faults",
    "database_faults",
    "execution_faults",
    "invocation_faults",
    "lock_faults",
    "start_faults",
    "storage_faults",
]
