"""The guards of the product's guarantees, each with a mutation that removes it.

A mutation is an exact replacement in one file. If its text no longer occurs exactly once, the guard was
rewritten, and the declaration here must follow.
"""

from dataclasses import dataclass
from pathlib import Path

_LAYER = "layers/common/roadmap_content"
_FENCING = "tests/integration/test_fencing.py"
_MACHINE = "statemachine/save_content.asl.json"
_CONCURRENCY = "tests/integration/test_concurrency.py"
_PIPELINE = "tests/integration/test_pipeline.py"
_RECOVERY = "tests/integration/test_recovery.py"
_STATE_MACHINE = "tests/workflow/test_state_machine.py"

_RECORDED = "coalesce(completed_at, content_now()),\n    updated_at = content_now()\n"
_CLAIMED = "error_message = NULL, updated_at = content_now()\n"
_OF_THE_ATTEMPT = "WHERE task_id = :task_id AND attempt = :attempt"
_OF_ANY_ATTEMPT = "WHERE task_id = :task_id"


class DoesNotApplyError(Exception):
    """The text to replace does not occur exactly once in its file."""


@dataclass(frozen=True)
class Mutant:
    """The product without one guard, and the smallest set of tests that must detect it."""

    guard: str
    removed: str
    """A description of the removed guard."""

    path: str
    """The path of the file in the repository."""

    old: str
    new: str
    tests: tuple[str, ...]
    """pytest node ids without parameters."""

    def applied_to(self, source: str) -> str:
        """The file's text without the guard.

        Raises:
            DoesNotApplyError: the text of the guard differs from its declaration.
        """
        if (found := source.count(self.old)) != 1:
            raise DoesNotApplyError(f"{self.guard}: its text stands in {self.path} {found} times")
        return source.replace(self.old, self.new)

    def apply(self, root: Path) -> None:
        """Remove the guard from the tree at `root`."""
        file = root / self.path
        file.write_text(self.applied_to(file.read_text()))


def _no_catch(state: str, indent: str, beginning: str, test: str) -> Mutant:
    """The definition without the Catch of a state, which is found by the `beginning` of its output."""

    def caught(error: str) -> str:
        return f'"ErrorEquals": ["{error}"],\n{indent}"Output": "{beginning}'

    return Mutant(
        "a Catch",
        f"that of {state}",
        _MACHINE,
        old=caught("States.ALL"),
        new=caught("NothingIsNamedSo"),
        tests=(f"{_STATE_MACHINE}::{test}",),
    )


MUTANTS = (
    Mutant(
        "the attempt fence",
        "an outcome is written for whatever attempt the row names",
        f"{_LAYER}/tasks/task.py",
        old=_RECORDED + _OF_THE_ATTEMPT,
        new=_RECORDED + _OF_ANY_ATTEMPT,
        tests=(f"{_PIPELINE}::test_an_older_attempt_does_not_overwrite_the_outcome_of_a_newer_one",),
    ),
    Mutant(
        "the per-roadmap lock",
        "FOR NO KEY UPDATE",
        f"{_LAYER}/roadmaps/metadata.py",
        old="WHERE roadmap_id = :roadmap_id FOR NO KEY UPDATE",
        new="WHERE roadmap_id = :roadmap_id",
        tests=(f"{_CONCURRENCY}::test_a_saver_waits_for_another_saver_of_the_same_roadmap",),
    ),
    Mutant(
        "the lock of the projection",
        "Finalize reads and writes framework_data without holding the roadmap",
        f"{_LAYER}/steps/finalize.py",
        old="    lock_roadmap(connection, roadmap_id)\n",
        new="",
        tests=(f"{_FENCING}::test_finalize_waits_for_whoever_changes_the_roadmap",),
    ),
    Mutant(
        "the fence of Generate",
        "an attempt that is over, or another execution's, generates",
        f"{_LAYER}/steps/generate.py",
        old="    require_open(connection, plan.task_id, plan.attempt, request.execution_arn)\n",
        new="",
        tests=(f"{_FENCING}::test_redriven_inside_fan_out_a_run_makes_nothing_until_it_has_claimed",),
    ),
    Mutant(
        "the random part of a name",
        "an execution's name follows from the task and the attempt alone",
        f"{_LAYER}/aws/executions.py",
        old='suffix = f"-{label}-{secrets.token_hex(4)}"',
        new='suffix = f"-{label}"',
        tests=(f"{_FENCING}::test_a_database_that_was_restored_starts_another_execution",),
    ),
    Mutant(
        "the conditional claim",
        "whoever read the task claims it, whatever attempt it is at by now",
        f"{_LAYER}/tasks/task.py",
        old=_CLAIMED + _OF_THE_ATTEMPT,
        new=_CLAIMED + _OF_ANY_ATTEMPT,
        tests=(f"{_CONCURRENCY}::test_one_of_several_claims_of_the_same_attempt_wins",),
    ),
    _no_catch("Plan", 10 * " ", "{% { 'input': $states.input, 'error'", "test_a_plan_that_fails_is_recorded"),
    _no_catch(
        "Generate",
        16 * " ",
        "{% $merge([$states.input, { 'generate_error'",
        "test_staged_items_are_saved_although_generate_fails",
    ),
    _no_catch(
        "Save",
        16 * " ",
        "{% { 'batch': $states.input.batch",
        "test_a_saver_that_raises_loses_its_batches_and_the_outcome_is_recorded",
    ),
    Mutant(
        "the poisoned-connection guard",
        "the listener that gives up a connection that is out of step",
        f"{_LAYER}/postgres/engine.py",
        old='    event.listen(engine, "handle_error", _discard_if_out_of_step)\n',
        new="",
        tests=(
            "tests/integration/test_transactions.py::test_an_error_during_decoding_does_not_affect_the_next_transaction",
        ),
    ),
    Mutant(
        "the demotion rule",
        "a version is the latest although one is higher",
        f"{_LAYER}/content/tutorial.py",
        old="AND higher.content_version > j.content_version",
        new="AND false",
        tests=(f"{_PIPELINE}::test_a_newer_version_becomes_latest_and_an_older_never_does",),
    ),
    Mutant(
        "the demotion rule",
        "older versions stay the latest",
        "migrations/versions/stand_aside_for_the_product.py",
        old="concept_id = NEW.concept_id AND is_latest",
        new="false",
        tests=(f"{_PIPELINE}::test_a_newer_version_becomes_latest_and_an_older_never_does",),
    ),
    Mutant(
        "the loop guard",
        "any redrive replans, again and again",
        f"{_LAYER}/steps/await_redrive.py",
        old="request.execution.redrive_count <= outcome.planned_redrive_count",
        new="request.execution.redrive_count == 0",
        tests=(f"{_RECOVERY}::test_an_execution_that_was_not_redriven_since_its_plan_fails",),
    ),
    Mutant(
        "the lock of an item",
        "whoever comes makes it",
        f"{_LAYER}/generation/item_locks.py",
        old="SELECT pg_try_advisory_lock(hashtextextended(:name, 0))",
        new="SELECT hashtextextended(:name, 0) IS NOT NULL",
        tests=(
            "tests/integration/test_item_locks.py::test_two_invocations_of_a_batch_generate_each_item_once",
        ),
    ),
    Mutant(
        "ownership in SQL",
        "AND user_id = :user_id",
        f"{_LAYER}/tasks/task.py",
        old='{_READ} AND user_id = :user_id"',
        new='{_READ}"',
        tests=(f"{_RECOVERY}::test_a_task_of_another_user_is_not_found",),
    ),
)
