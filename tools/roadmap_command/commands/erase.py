"""`roadmap erase`: erase a user's data, look whether it is gone, and apply erasures again after a restore."""

from typing import Annotated

import typer
from rich.table import Column, Table

from local_stack.errors import RefusedError
from roadmap_command.interface import ExitCode, Json, Stack, confirmed, errors, output, print_json
from roadmap_command.target import Target
from roadmap_command.views import fitted, time_text
from roadmap_content.contracts.erasure import ErasureAnswer, Removed

group = typer.Typer()


@group.command()
def erase(
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="The user.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look again, and exit 1 if anything is left.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="After a restore: apply the register's erasures again.")
    ] = False,
    product_rows: Annotated[
        bool, typer.Option("--product-rows", help="Delete the product's rows and their texts, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask after the preview.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Erase everything of this system that names a user, after a preview. Nothing brings it back."""
    if (user is None) is not replay or (replay and (verify or dry_run or product_rows)):
        raise typer.BadParameter("give --user, with --verify, --dry-run or --product-rows; or --replay alone")
    client = Target.named(stack).client()
    if user is None:
        register = client.due_erasures()
        answers = [
            client.erase(due.user_id, replay=due.erasure_id, product_rows=due.product_rows)
            for due in register.due
        ]
        errors.print(
            f"{register.registered} erasures in the register, {len(answers)} of users in the database"
        )
        if as_json:
            print_json([answer.model_dump(mode="json") for answer in answers])
        for answer in answers if not as_json else ():
            _print(answer)
        if register.of_another_key:
            errors.print(
                f"{register.of_another_key} erasures were registered with another ErasureKey: give this stack"
                " the value of that key, and repeat the command"
            )
        if register.of_another_key or not all(answer.complete for answer in answers):
            raise typer.Exit(ExitCode.ITEMS_MISSING)
        return
    if verify or dry_run or not yes:
        answer = client.erase(user, product_rows=product_rows, dry_run=True)
        if verify or dry_run:
            _report(answer, as_json=as_json)
            if verify and answer.removed:
                raise typer.Exit(ExitCode.ITEMS_MISSING)
            return
        if not as_json:
            _print(answer)
        if as_json or not confirmed("Erase it, for ever?"):
            raise RefusedError("not erased: confirm, or use --yes")
    answer = client.erase(
        user,
        product_rows=product_rows,
        progress=lambda part: errors.print(f"{sum(part.removed.rows.values())} rows removed"),
    )
    _report(answer, as_json=as_json)
    if not answer.complete:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def _report(answer: ErasureAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _print(answer: ErasureAnswer) -> None:
    """Print the numbers of the removed rows and objects, of those that stay, and the data that expires."""
    console = output()
    table = Table("", "where", Column("rows or objects", justify="right"), Column("bytes", justify="right"))
    verb = "to remove" if answer.dry_run else "removed"
    for title, part in ((verb, answer.removed), ("stays", answer.stays)):
        _add(table, title, part)
    if table.row_count or answer.waits_until is None:
        console.print(fitted(table, console) if table.row_count else "nothing is left")
    for remainder in answer.remains:
        until = remainder.until if isinstance(remainder.until, str) else time_text(remainder.until)
        console.print(f"expires by itself: {remainder.data}: {until}")
    if answer.receipt is not None:
        line = f"receipt {answer.receipt.erasure_id} by {answer.receipt.actor}, SHA-256 {answer.digest}"
        console.print(line)
    if answer.waits_until is not None:
        errors.print(
            f"Nothing is removed yet: a step of a run that ended early may write until"
            f" {time_text(answer.waits_until)}. Nothing is started for the user meanwhile. Give the command"
            " again then."
        )


def _add(table: Table, title: str, part: Removed) -> None:
    for name, count in part.rows.items():
        table.add_row(title, name, str(count), "")
    for name, objects in part.objects.items():
        table.add_row(title, f"{name}/ (S3)", str(objects.objects), str(objects.bytes))
    for key in part.shared:
        table.add_row("stays, may be another's", key, "", "")
    for name, count in part.names.items():
        table.add_row("renamed" if title == "removed" else "names", name, str(count), "")
