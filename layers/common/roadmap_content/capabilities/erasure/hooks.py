"""The hooks of erasure. Its exclusion has its own module, for steps that import nothing else of erasure."""

from ...state.services import Capability, Scan
from .register import count_unfinished, read_receipt
from .sweep import remove_records, remove_texts

ERASURE = Capability(
    sweep=(
        Scan("records of deleted tasks", 10, remove_records),
        Scan("texts that no row names", 10, remove_texts),
    ),
    health=count_unfinished,
    describe=read_receipt,
)
