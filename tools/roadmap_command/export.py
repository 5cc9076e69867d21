"""Export a task as a bundle, through the API, for `roadmap load`, with the origins of the contents."""

import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import parse_framework
from roadmap_content.contracts.api.items import ItemOrigin
from roadmap_content.contracts.documents import decode
from roadmap_content.contracts.items import Item
from roadmap_content.platform.storage.bucket import in_parallel

ORIGIN_FIELDS = {"generator", "model_id", "prompt_version", "tokens_in", "tokens_out"}
"""The fields of an origin in a bundle: nothing about people."""


class Exported(NamedTuple):
    """A bundle, and why the contents that it lacks are not in it."""

    bundle: dict[str, Any]
    absent: Sequence[tuple[Item, str]]
    former_user: str | None
    """The task's user, if the roadmap belongs to another one by now."""


class _Read(NamedTuple):
    """A content, or the reason why there is none."""

    item: Item
    content: dict[str, Any] | None = None
    origin: ItemOrigin | None = None
    reason: str = ""


def export_task(client: Client, task_id: str, on_item: Callable[[int], object]) -> Exported:
    """Read a task with its current contents. `on_item` is called with the number of items after each one.

    Raises:
        ApiRefusedError: there is no such task, it has no roadmap, or the caller is no operator.
        ApiUnavailableError: the API did not answer.
        InvalidFrameworkError: the framework cannot be read.
    """
    pieces = list(client.source(task_id))
    source = pieces[0]
    framework = parse_framework("".join(piece.framework_data for piece in pieces))
    # The API describes the items of a roadmap to its owner's tasks only; their contents can be read.
    is_handed_over = source.user_id != source.owner_id
    items = list(framework.items())

    def read(item: Item) -> _Read:
        found = _read(client, task_id, item, describes=not is_handed_over)
        on_item(len(items))
        return found

    found = in_parallel(read, items)
    content: dict[str, dict[str, Any]] = {}
    for each in found:
        if each.content is not None:
            entry = content.setdefault(each.item.concept_id, {"concept_id": each.item.concept_id})
            entry[each.item.content_type] = each.content
    bundle = {
        "roadmap": {
            "roadmap_id": source.roadmap_id,
            "user_id": source.owner_id,
            "title": source.title,
            "total_estimated_hours": source.total_estimated_hours,
            "recommended_completion_weeks": source.recommended_completion_weeks,
            "framework_data": decode(framework.text),
        },
        # A run accepts only a task of the roadmap's owner.
        "task": {
            "task_id": task_id,
            "user_id": source.owner_id,
            "roadmap_id": source.roadmap_id,
            "user_request": source.user_request or {},
        },
        "content": list(content.values()),
        "origins": [
            each.item._asdict() | each.origin.model_dump(include=ORIGIN_FIELDS)
            for each in found
            if each.origin is not None
        ],
    }
    absent = [(each.item, each.reason) for each in found if each.content is None]
    return Exported(bundle, absent, source.user_id if is_handed_over else None)


def _read(client: Client, task_id: str, item: Item, *, describes: bool) -> _Read:
    try:
        row = client.item(task_id, None, *item).saved if describes else None
        if describes and row is None:
            return _Read(item, reason="it is not saved")
        saved = client.content(task_id, None, *item)
    except ApiRefusedError as error:
        if error.status not in (404, 422):
            raise
        return _Read(item, reason=str(error))
    content = dict(saved.content)
    text = CONTENT_KINDS[item.content_type].stored_text
    if saved.content_link is not None and text is not None:
        with urllib.request.urlopen(saved.content_link, timeout=60) as answer:  # noqa: S310 - S3's, of the API
            content[text.field] = answer.read().decode(errors="replace")  # as the API does
    return _Read(item, content, None if row is None else row.origin)
