"""The hooks of erasure, but its exclusion, which steps import that need nothing else of it."""

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
