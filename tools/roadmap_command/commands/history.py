"""`roadmap logs`, `show`: the history of a task, of an attempt, and of one item."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from local_stack.errors import RefusedError
from roadmap_command.interface import Json, Stack, TaskId, command_name, print_answer
from roadmap_command.target import Target
from roadmap_command.views import headline, next_step, of_types, time_text, word_of
from roadmap_content.client.client import Client
from roadmap_content.contracts.api.items import LETTERS, ItemDetail, ItemOrigin
from roadmap_content.contracts.api.tasks import AttemptRow
from roadmap_content.contracts.errors import TaskNotFoundError
from roadmap_content.contracts.items import ContentType, Item

group = typer.Typer()

MOST_ATTEMPTS = 1_000
"""Attempts of a task that are looked through, the newest first."""

MAX_PAGE, MAX_CONCEPTS = 200, 3_000
"""The largest pages of the API."""

_NO_TASK = TaskNotFoundError.code
ITEM_FORM = "CONCEPT/TYPE"
OptionalItem = Annotated[
    str | None, typer.Argument(metavar=f"[{ITEM_FORM}]", help="One item, for example c-1/quiz.")
]
_ACTORS = {"console": "direct start"}  # in Step Functions, without a token; not our console
_LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_NOT_SHOWN = frozenset(
    {
        *("level", "message", "timestamp", "function_name", "location", "service", "release", "cold_start"),
        *("function_memory_size", "function_arn", "function_request_id", "correlation_id", "xray_trace_id"),
    }
)
"""The keys of a log line that are shown elsewhere in its line, or only by `--json`."""


class LogLine(NamedTuple):
    """A log line of a function that concerns a task."""

    fields: dict[str, Any]

    def is_about(self, item: Item) -> bool:
        """Whether the line has the item's ids, or its content type and no concept id."""
        concept_id = self.fields.get("concept_id", item.concept_id)
        content_type = self.fields.get("content_type", item.content_type)
        return (concept_id, content_type) == (item.concept_id, item.content_type)

    def text(self) -> Text:
        """The line in readable form."""
        shown = " ".join(
            f"{key}={json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value}"
            for key, value in self.fields.items()
            if key not in _NOT_SHOWN
        )
        level = str(self.fields.get("level", ""))
        return Text.assemble(
            (f"{self.fields.get('timestamp', '')} ", "dim"),
            (f"{level:<8}", _LEVELS.get(level, "")),
            (f"{self.fields.get('message', '')} ", "bold"),
            shown,
        )


@group.command()
def logs(
    task_id: TaskId,
    item: OptionalItem = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Print the functions' log lines about a task, oldest first."""
    wanted = None if item is None else parse_item(item)
    lines = [
        line for line in _lines_of(Target.named(stack), task_id) if wanted is None or line.is_about(wanted)
    ]
    if not lines:
        about = task_id if item is None else f"{item} of task {task_id}"
        raise RefusedError(f"no log line is about {about}; list the tasks with: {command_name()} tasks")
    print_answer([line.fields for line in lines], *(line.text() for line in lines), as_json=as_json)


@group.command()
def show(
    task_id: TaskId,
    item: OptionalItem = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Show a task's items by state and reason, and its attempts; or one item, over all attempts."""
    wanted = None if item is None else parse_item(item)
    client = Target.named(stack).client()
    if wanted is None:
        _show_task(client, task_id, as_json=as_json)
        return
    found = client.item(task_id, None, wanted.concept_id, wanted.content_type)
    print_answer(found, *explanation(found), as_json=as_json)


def _show_task(client: Client, task_id: str, *, as_json: bool) -> None:
    task = client.status(task_id)
    items = next(client.items(task_id, states_only=True, limit=MAX_CONCEPTS))
    attempts = list(islice(client.attempts(task_id, limit=MAX_PAGE), MOST_ATTEMPTS))
    counts = {state: items.states.count(letter) for state, letter in LETTERS.items()}
    reasons = [
        Text.assemble(
            f"  {of_types(reason.by_type)}: ",
            (reason.error_code, "red"),
            f" ({reason.stage}): {reason.reason}\n    {reason.remedy_text}",
        )
        for reason in items.reasons
    ]
    print_answer(
        {"task": task, "items": items, "attempts": attempts},
        Text.assemble(headline(task), f"  {task.title or ''}"),
        *([task.error_message or ""] if task.status == "cancelled" else ()),
        next_step(task.turn),
        ", ".join(f"{count} {state}" for state, count in counts.items() if count),
        *reasons,
        *([_attempts(attempts)] if attempts else ()),
        as_json=as_json,
    )


def _attempts(rows: Iterable[AttemptRow]) -> Table:
    counted = "planned", "saved", "failed", "generated"
    table = Table("attempt", "actor", "cause", "outcome", *counted, "tokens", "reason")
    for row in rows:
        counts = [
            "" if count is None else str(sum(count.values()))
            for count in (getattr(row, name) for name in counted)
        ]
        outcome = word_of(row.outcome or row.step)
        table.add_row(
            str(row.attempt),
            _ACTORS.get(row.actor, row.actor),
            row.cause,
            outcome,
            *counts,
            str(row.tokens),
            row.reason or "",
        )
    return table


def parse_item(text: str) -> Item:
    """Parse `CONCEPT/TYPE`. A concept's id may contain any character.

    Raises:
        RefusedError: the text has another form.
    """
    concept_id, _, content_type = text.rpartition("/")
    if content_type not in tuple(ContentType) or not concept_id:
        raise RefusedError(f"{text!r} is not an item: give {ITEM_FORM}, for example c-1/quiz")
    return Item(concept_id, ContentType(content_type))


def explanation(item: ItemDetail) -> Iterator[str]:
    """The lines that explain an item."""
    place = " › ".join(filter(None, (item.stage, item.module, item.name)))
    yield f"{item.content_type} of {item.concept_id} ({place}): {item.state}"
    if saved := item.saved:
        yield f"  saved as {saved.id} at {time_text(saved.generated_at)}"
        yield f"  origin: {origin_text(saved.origin)}"
    if staged := item.staged:
        stored_at = time_text(staged.stored_at)
        yield f"  staged: {staged.size} bytes at {stored_at}, fingerprint {staged.fingerprint}"
    for failure in item.failures:
        kind = "transient" if failure.transient else "permanent"
        yield (
            f"  attempt {failure.attempt}: {failure.error_code} ({failure.stage}, {kind}): {failure.reason}"
        )
    for rejected in item.rejected:
        yield f"  rejected by attempt {rejected.attempt}: {rejected.reason}; kept at {rejected.key}"
    yield f"  next: {item.next_action_text}"


def origin_text(origin: ItemOrigin | None) -> str:
    """How a content came to be, in one line."""
    if origin is None:
        return "not recorded"
    parts = [origin.generator, origin.model_id, origin.prompt_version, origin.service_tier]
    if origin.tokens_out:
        parts.append(f"{origin.tokens_in} + {origin.tokens_out} tokens")
    if origin.attempt is not None:
        parts.append(f"attempt {origin.attempt} of {origin.task_id}")
    if origin.restored_from is not None:
        parts.append("restored")
    return ", ".join(filter(None, [*parts, origin.actor, origin.reason]))


def _lines_of(target: Target, task_id: str) -> Iterator[LogLine]:
    pages = target.logs.get_paginator("filter_log_events").paginate(
        logGroupName=target.log_group, filterPattern=json.dumps(task_id)
    )
    events = [event for page in pages for event in page["events"]]
    for event in sorted(events, key=lambda event: event["timestamp"]):
        try:
            fields = json.loads(event["message"])
        except ValueError:
            continue
        # A line about a request that found no such task is not about one.
        if isinstance(fields, dict) and "message" in fields and fields.get("error_code") != _NO_TASK:
            yield LogLine(fields)
