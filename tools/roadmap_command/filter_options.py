"""The options of a filter of tasks, for every command that has one."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any

import typer

from roadmap_command.views import STATUSES
from roadmap_content.contracts.items import ContentType

_STATUSES = (
    "pending",
    "processing",
    "completed",
    "partial_failure",
    "failed",
    "cancelled",
    "human_review_pending",
)
"""The statuses of tasks; the product alone writes the last one."""

_AS_SHOWN = {word: status for status, word in STATUSES.items()}

_OPTIONS: Mapping[str, Any] = {
    "status": Annotated[
        list[str] | None,
        typer.Option("--status", help=f"Only tasks with this status ({', '.join(_STATUSES)}). Repeatable."),
    ],
    "error_code": Annotated[
        str | None, typer.Option("--error", help="Only tasks with failures of this code.")
    ],
    "content_type": Annotated[
        ContentType | None, typer.Option("--type", help="Only tasks with failures of this type.")
    ],
    "user_id": Annotated[str | None, typer.Option("--user", help="Only tasks of this user.")],
    "group_id": Annotated[
        str | None, typer.Option("--group", help="Only tasks with failures of this group.")
    ],
    "q": Annotated[str | None, typer.Option("--query", "-q", help="The beginning of an id or of a title.")],
}
"""The options, by the parameters of the API."""


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a filter to a command. It receives the given options as `chosen`, for the API."""
    own = inspect.signature(command, eval_str=True)

    @wraps(command)
    def wrapper(**given: Any) -> None:  # noqa: ANN401 - the values of any options
        chosen = {name: given.pop(name) for name in _OPTIONS}
        chosen["status"] = [_AS_SHOWN.get(status, status) for status in chosen["status"] or ()]
        for status in set(chosen["status"]) - set(_STATUSES):
            raise typer.BadParameter(f"no task has the status {status!r}: {', '.join(_STATUSES)}")
        command(chosen={name: value for name, value in chosen.items() if value}, **given)

    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    others = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.parameters.items()
        if name != "chosen"
    ]
    # Typer reads the options of a command from its signature and its annotations.
    wrapper.__signature__ = own.replace(parameters=[*options, *others])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in (*options, *others)}
    return wrapper
