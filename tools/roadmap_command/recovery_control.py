"""Pause, resume or cancel a recovery, and print its new state."""

from typing import Literal

from roadmap_command.asking import ask
from roadmap_command.interface import output, print_json
from roadmap_command.target import Target
from roadmap_command.views import counted


def change_recovery(
    stack: str | None, recovery_id: str, action: Literal["pause", "resume", "cancel"], *, as_json: bool
) -> None:
    """Change a recovery's state and print the recovery.

    Raises:
        RefusedError: there is no such recovery, or it has ended.
        ApiUnavailableError: the API failed.
    """
    recovery = ask(Target.named(stack).operator_api(), "POST", f"/recoveries/{recovery_id}/{action}")
    if as_json:
        print_json(recovery)
        return
    counts = recovery["counts"]
    output().print(
        f"recovery {recovery_id}: {recovery['state']}, {counts['waiting']} waiting and "
        f"{counts['running']} running of {counted(counts['total'], 'task')}",
        soft_wrap=True,
    )
