"""The answers of `DELETE /api/v1/users/{user_id}/content`: the removed rows and objects, and a receipt."""

import hashlib
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from .payloads import Count, Payload


class ObjectCount(Payload):
    """Objects below one prefix of the bucket, with all their versions and delete markers."""

    objects: Count = 0
    bytes: Count = 0

    def __add__(self, other: "ObjectCount") -> "ObjectCount":
        return ObjectCount(objects=self.objects + other.objects, bytes=self.bytes + other.bytes)


class Removed(Payload):
    """Numbers of rows by table, and of objects by prefix. No content."""

    rows: dict[str, Count] = Field(default_factory=dict)
    objects: dict[str, ObjectCount] = Field(default_factory=dict)
    names: dict[str, Count] = Field(
        default_factory=dict, description="Rows of others in which the user's name is replaced."
    )
    shared: list[str] = Field(
        default_factory=list,
        description="Texts that stay: they may belong to another roadmap, or another one's row names it.",
    )

    def __add__(self, other: "Removed") -> "Removed":
        nothing = ObjectCount()
        sums = {
            name: self.objects.get(name, nothing) + other.objects.get(name, nothing)
            for name in sorted({*self.objects, *other.objects})
        }
        objects = {name: total for name, total in sums.items() if total.objects}
        return Removed(
            rows=_sum(self.rows, other.rows),
            objects=objects,
            names=_sum(self.names, other.names),
            shared=sorted({*self.shared, *other.shared}),
        )

    def __bool__(self) -> bool:
        """Whether anything was found that goes."""
        return bool(self.rows or self.objects or self.names)


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    total = {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
    return {name: count for name, count in total.items() if count}


class Receipt(Payload):
    """The objects that an erasure has removed, the time, and the operator."""

    erasure_id: str
    actor: str
    product_rows: bool
    began_at: AwareDatetime
    ended_at: AwareDatetime | None
    removed: Removed

    @property
    def digest(self) -> str:
        """A hash of the receipt."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Remainder(Payload):
    """Data that an erasure does not remove, and when it is gone."""

    data: str
    until: Annotated[datetime | str, Field(union_mode="left_to_right")]


class ErasureAnswer(Payload):
    """One part of an erasure or of its preview. Send the request again, with `after`, until `complete`."""

    dry_run: bool
    complete: Annotated[
        bool, Field(description="Nothing is left to do. Of a preview: this was the last part.")
    ]
    removed: Removed = Field(default_factory=Removed, description="Of this part; `receipt` has the total.")
    stays: Removed = Field(
        default_factory=Removed, description="The product's rows and texts, without `product_rows`."
    )
    after: Annotated[str | None, Field(description="For the next request.")] = None
    waits_until: Annotated[
        AwareDatetime | None,
        Field(
            description="A step of a run that ended early may write until then; nothing is removed before."
        ),
    ] = None
    remains: list[Remainder] = Field(default_factory=list, description="What expires by itself.")
    receipt: Receipt | None = None
    digest: Annotated[
        str | None, Field(description="SHA-256 of the receipt, when the erasure is complete.")
    ] = None


class DueErasure(Payload):
    """An erased user with rows in the database again, as after the restore of a backup."""

    erasure_id: str
    user_id: str
    product_rows: bool


class ReplayAnswer(Payload):
    """The erasures to apply again."""

    registered: Count
    of_another_key: Annotated[
        Count, Field(description="Entries with another `ErasureKey`: their users are not found.")
    ]
    due: list[DueErasure]
