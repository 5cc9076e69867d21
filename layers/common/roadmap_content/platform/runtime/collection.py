"""Pause the cyclic garbage collector while a step holds a whole roadmap."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Do not search for reference cycles in this block, or in the calls of a function that it decorates: in
    no thread of this process.

    Decoded JSON has no cycles: its memory is freed by reference counting. The collector would traverse the
    objects of all concepts again and again while their number grows.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
