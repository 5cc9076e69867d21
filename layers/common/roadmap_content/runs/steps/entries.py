"""An item of a batch on its way through Save: prepared (`prepare.py`), then written (`write.py`)."""

from collections.abc import Sequence
from typing import NamedTuple

from ...content.kind import Row
from ...contracts.documents import Document
from ...contracts.errors import ContentError, NotStagedError, TransientError
from ...contracts.items import Failure, Item, Stage


class Entry(NamedTuple):
    """An item of a batch. Each step adds its results."""

    item: Item
    content_fingerprint: str | None = None
    size: int = 0
    """Bytes of the staged content."""

    body: bytes = b""
    """The staged content, until it is validated."""

    content: Document = {}  # noqa: RUF012 - replaced, never changed
    row: Row = {}  # noqa: RUF012


class Prepared(NamedTuple):
    """Items that are ready to be saved, and the failures of those that cannot be saved."""

    ready: Sequence[Entry] = ()
    failed: Sequence[Failure] = ()

    def with_others(self, others: "Prepared") -> "Prepared":
        return Prepared([*self.ready, *others.ready], [*self.failed, *others.failed])

    @property
    def size(self) -> int:
        """Bytes of the staged contents to save."""
        return sum(entry.size for entry in self.ready)


def failure_of(item: Item, error: ContentError, content_fingerprint: str | None = None) -> Failure:
    """The failure of an item. A content is not refused by a transient error, so it has no fingerprint then.
    An item that is not staged is a failure of Generate: if that has recorded the cause, its record is kept.
    """
    stage = Stage.GENERATE if isinstance(error, NotStagedError) else Stage.SAVE
    transient = isinstance(error, TransientError)
    return Failure(
        item, stage, error.recorded_code, str(error), transient, None if transient else content_fingerprint
    )
