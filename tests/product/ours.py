"""Our own operations beside the product, as the roles of the deployment: which of them fail."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from roadmap_content.api.restores import Author, Restore
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.revision_records import revisions_of
from roadmap_content.contracts.errors import named
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope
from roadmap_content.state.tasks.task import read_snapshot, read_task
from tests.product.deployment import Deployment
from tests.product.running import deadline, heal, planned, retry, run
from tests.support.erasing import QUIET, erased
from tests.support.factories import USER
from tests.support.machine_model import error_of

T = TypeVar("T")

_QUIZ = Item("r-2:c", ContentType.QUIZ)


def prepare(deployment: Deployment) -> None:
    """A finished task of ours with a former quiz, and one that waits for its first attempt."""
    product = deployment.product
    for number, status in ((2, "failed"), (3, "pending")):
        product.roadmap(f"r-{number}", [f"r-{number}:c"])
        product.task(f"t-{number}", status, roadmap_id=f"r-{number}")
    heal(deployment.services, "t-2")
    run(deployment.services, retry(deployment.services, "t-2", Scope(*_QUIZ, regenerate=True)))
    product.execute(QUIET)


def comparable(refused: set[str], failed: set[str]) -> set[str]:
    """The plays that were reached in a rehearsal that refused some, and in reality, where some failed."""
    types = [f" of {each}" for each in PRODUCT_TYPES]
    reached = {"claim", "read"}
    if "claim" not in failed | refused:
        reached.add("outcome")
    if not failed & {"claim", "outcome"}:
        reached |= {f"save{each}" for each in types}
        reached |= {f"replacement{each}" for each in types if f"save{each}" not in refused}
    if "outcome" not in failed | refused:
        reached.add("sweep")
    if not any(play.endswith("quiz") for play in refused):
        reached.add("restore")
    if not any(play.startswith("save") for play in refused):
        reached.add("erasure")
    return reached


def failing(deployment: Deployment) -> set[str]:
    """The operations that fail, by the names of the rehearsal's plays."""
    services, failed = deployment.services, set[str]()

    def attempt(name: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except Exception:  # noqa: BLE001 - also of our own code, if a table has changed
            failed.add(name)
            return None

    def run_of(task_id: str, scope: Scope, play: str) -> None:
        answer = attempt("claim", lambda: retry(services, task_id, scope))
        if answer is None or (execution := attempt("outcome", lambda: planned(services, answer))) is None:
            return
        while execution.going:
            try:
                execution.step(services, deadline())
            except Exception as error:  # noqa: BLE001 - as the Catch of its state
                execution.catch(error_of(named(error)))
        if execution.outcome is None:
            failed.add("outcome")
        found = deployment.product.rows(
            "SELECT DISTINCT content_type FROM content_failures WHERE task_id = :t", t=task_id
        )
        failed.update(f"{play} of {row['content_type']}" for row in found)

    def read() -> None:
        def read_both(connection: Connection) -> None:
            read_snapshot(connection, read_task(connection, "t-2"))

        transact(services.reading_engine, read_both, deadline())

    def restore() -> None:
        *_, former = transact(services.engine, revisions_of, deadline(), "r-2", _QUIZ)
        Restore(services, _QUIZ, former.revision_id, Author("test", None)).of_task("t-2", USER, deadline())

    run_of("t-3", WHOLE_TASK, "save")
    run_of("t-2", Scope(regenerate=True), "replacement")
    attempt("sweep", lambda: reconcile(ReconcileRequest(), services, deadline()))
    attempt("read", read)
    attempt("restore", restore)
    if deployment.product.has("content_attempts"):
        deployment.product.execute(QUIET)
    attempt("erasure", lambda: erased(services, USER, product_rows=True))
    return failed
