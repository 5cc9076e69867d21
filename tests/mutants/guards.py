"""The guards of the product's guarantees, each with a mutation that removes it.

A mutation is an exact replacement in one file. If its text no longer occurs exactly once, the guard was
rewritten, and the declaration here must follow.
"""

from dataclasses import dataclass
from pathlib import Path

_LAYER = "layers/common/roadmap_content"
_FENCING = "tests/integration/test_fencing.py"
_DAYLIGHT_SAVING = "tests/integration/test_daylight_saving.py"
_MACHINE = "statemachine/save_content.asl.json"
_PIPELINE = "tests/integration/test_pipeline.py"
_FOREIGN = "tests/integration/test_foreign_rows.py"
_STALLS = "tests/integration/test_stalls.py"
_SIZES = "tests/integration/test_sizes.py"
_ONCE = "tests/integration/test_generating_once.py"
_CHANGES = "tests/integration/test_changes.py"
_CALLS = "tests/integration/test_calls_of_step_functions.py"
_CHECKS = "tests/integration/test_checks.py"
_RECOVERY = "tests/integration/test_recovery.py"
_RECOVERIES = "tests/integration/test_recoveries.py"
_RESTART = "tests/product/test_restart.py"
_SIBLINGS = "tests/product/test_siblings.py"
_OWNERSHIP = "tests/product/test_ownership.py"
_AUTOMATIC = "tests/integration/test_automatic.py"
_CANCELLING = "tests/product/test_cancelling.py"
_PAIRS = "tests/schedules/pairs.py"
_SINGLE = "tests/product/test_single_items.py"
_CAPACITY = "tests/integration/test_capacity.py"
_QUEUE = "tests/integration/test_queue.py"
_MODEL_QUOTA = "tests/integration/test_quota.py"
_BEDROCK = "tests/integration/test_bedrock.py"
_CONVERSATION = "tests/unit/test_bedrock_conversation.py"
_OUTBOX = "tests/integration/test_outbox.py"
_LINKS = "tests/integration/test_links.py"
_CONTENT_CHECK = "tests/integration/test_content_check.py"
_REGENERATION = "tests/integration/test_regeneration.py"
_STATE_MACHINE = "tests/workflow/test_state_machine.py"

_UNNOTICED = "test_a_run_that_ended_unnoticed_frees_its_slots_within_a_minute_if_others_wait"
_RECORDED = "coalesce(completed_at, content_now()),\n    updated_at = content_now()\n"
_CLAIMED = "error_message = NULL, updated_at = content_now()\n"
_WEIGHT = "/ coalesce((SELECT weight FROM content_queue_weights WHERE queue_key = k.queue_key), 1)"
_OF_THE_ATTEMPT = "WHERE task_id = :task_id AND attempt = :attempt"
_OF_ANY_ATTEMPT = "WHERE task_id = :task_id"
_THAT_IS_OPEN = ' AND ended_at IS NULL\n""")\n\n'


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
            raise DoesNotApplyError(f"{self.guard}: its text occurs in {self.path} {found} times")
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
        "an outcome is written without comparing the attempt",
        f"{_LAYER}/tasks/task.py",
        old=_RECORDED + _OF_THE_ATTEMPT,
        new=_RECORDED + _OF_ANY_ATTEMPT,
        tests=(
            f"{_PIPELINE}::test_an_older_attempt_does_not_overwrite_the_outcome_of_a_newer_one",
            f"{_PAIRS}::test_a_late_end_and_the_next_attempt",
        ),
    ),
    Mutant(
        "the per-roadmap lock",
        "FOR NO KEY UPDATE",
        f"{_LAYER}/roadmaps/metadata.py",
        old=' FOR NO KEY UPDATE OF roadmap_metadata\n""")',
        new='\n""")',
        tests=(f"{_PAIRS}::test_the_end_of_a_run_and_other_writes",),
    ),
    Mutant(
        "the lock of the projection",
        "Finalize reads and writes framework_data without holding the roadmap",
        f"{_LAYER}/steps/finalize.py",
        old="    lock_roadmap(connection, roadmap_id)\n",
        new="",
        tests=(f"{_PAIRS}::test_the_end_of_a_run_and_other_writes",),
    ),
    Mutant(
        "the fence of Generate",
        "an ended attempt, or one of another execution, generates",
        f"{_LAYER}/steps/generate.py",
        old="    require_open(connection, plan.task_id, plan.attempt, request.execution_arn)\n",
        new="",
        tests=(
            f"{_FENCING}::test_redriven_inside_fan_out_a_run_generates_nothing_before_its_claim",
            f"{_PAIRS}::test_the_end_of_a_run_and_its_counts",
        ),
    ),
    Mutant(
        "the recovery's record of a claim",
        "a task that a cancelled recovery has refused is claimed by it",
        f"{_LAYER}/recoveries/recovery.py",
        old="        raise stopped\n    if connection.execute(CLAIM, parameters).rowcount == 0:\n",
        new="        pass\n    if connection.execute(CLAIM, parameters).rowcount < 0:\n",
        tests=(
            f"{_RECOVERIES}::test_the_next_claim_obeys_a_change_of_the_recovery",
            f"{_PAIRS}::test_a_recovery_and_its_cancellation",
        ),
    ),
    Mutant(
        "the breaker of a recovery",
        "the last tasks that failed have one cause, and the others are started",
        f"{_LAYER}/recoveries/decisions.py",
        old="    if failed >= repeated and (common := ",
        new="    if failed > limits.breaker and (common := ",
        tests=(f"{_RECOVERIES}::test_the_breaker_pauses_at_the_same_failure_group_and_names_it",),
    ),
    Mutant(
        "the recovery's record of a claim",
        "a recovery is cancelled while it is advanced",
        f"{_LAYER}/recoveries/recovery.py",
        old="recovery_id = :recovery_id FOR UPDATE",
        new="recovery_id = :recovery_id",
        tests=(f"{_PAIRS}::test_a_recovery_and_its_cancellation",),
    ),
    Mutant(
        "the audit trail",
        "an item that is generated while the attempt's end is recorded is not counted",
        f"{_LAYER}/tasks/attempts.py",
        old="AND attempt = :attempt FOR UPDATE",
        new="AND attempt = :attempt",
        tests=(f"{_PAIRS}::test_the_end_of_a_run_and_its_counts",),
    ),
    Mutant(
        "the audit trail",
        "a plan that is repeated after some items were saved replaces the first one",
        f"{_LAYER}/tasks/attempts.py",
        old="planned = coalesce(planned, CAST(:planned AS json))",
        new="planned = CAST(:planned AS json)",
        tests=(f"{_PAIRS}::test_the_end_of_a_run_and_its_counts",),
    ),
    Mutant(
        "the audit trail",
        "a late plan changes an attempt that has ended",
        f"{_LAYER}/tasks/attempts.py",
        old=_OF_THE_ATTEMPT + _THAT_IS_OPEN + "# Guarantees: counts once",
        new=_OF_THE_ATTEMPT
        + _THAT_IS_OPEN.replace(" AND ended_at IS NULL", "")
        + "# Guarantees: counts once",
        tests=(f"{_PAIRS}::test_the_end_of_a_run_and_its_counts",),
    ),
    Mutant(
        "the random part of a name",
        "an execution's name depends only on the task and the attempt",
        f"{_LAYER}/aws/executions.py",
        old='suffix = f"-{label}-{secrets.token_hex(4)}"',
        new='suffix = f"-{label}"',
        tests=(f"{_FENCING}::test_a_restored_database_starts_another_execution",),
    ),
    Mutant(
        "the conditional claim",
        "the claim does not compare the attempt",
        f"{_LAYER}/tasks/task.py",
        old=_CLAIMED + _OF_THE_ATTEMPT,
        new=_CLAIMED + _OF_ANY_ATTEMPT,
        tests=(f"{_PAIRS}::test_requests_to_start",),
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
        "test_a_save_that_crashes_is_retried_and_then_recorded_as_a_lost_batch",
    ),
    Mutant(
        "the poisoned-connection guard",
        "the listener that discards a connection with an interrupted protocol",
        f"{_LAYER}/postgres/engine.py",
        old='    event.listen(engine, "handle_error", _discard_if_out_of_step)\n',
        new="",
        tests=(
            "tests/integration/test_transactions.py::test_an_error_during_decoding_does_not_affect_the_next_transaction",
        ),
    ),
    Mutant(
        "the demotion rule",
        "a version becomes the latest although a higher one exists",
        f"{_LAYER}/content/tutorial/__init__.py",
        old="AND higher.content_version > j.content_version",
        new="AND false",
        tests=(f"{_PIPELINE}::test_only_the_highest_version_becomes_latest",),
    ),
    Mutant(
        "the demotion rule",
        "older versions stay the latest",
        "migrations/baseline/triggers.py",
        old="concept_id = NEW.concept_id AND is_latest",
        new="false",
        tests=(f"{_PIPELINE}::test_only_the_highest_version_becomes_latest",),
    ),
    Mutant(
        "the loop guard",
        "a redriven run plans again without end",
        f"{_LAYER}/steps/await_redrive.py",
        old="request.execution.redrive_count <= outcome.planned_redrive_count",
        new="request.execution.redrive_count == 0",
        tests=(f"{_RECOVERY}::test_an_execution_that_was_not_redriven_since_its_plan_fails",),
    ),
    Mutant(
        "the lock of an item",
        "every invocation generates the item",
        f"{_LAYER}/generation/item_locks.py",
        old="SELECT pg_try_advisory_lock(hashtextextended(:name, 0))",
        new="SELECT hashtextextended(:name, 0) IS NOT NULL",
        tests=(
            "tests/integration/test_item_locks.py::test_two_invocations_of_a_batch_generate_each_item_once",
            f"{_PAIRS}::test_steps_that_are_delivered_twice",
        ),
    ),
    Mutant(
        "ownership in SQL",
        "AND user_id = :user_id",
        f"{_LAYER}/tasks/task.py",
        old='task_id = :task_id AND user_id = :user_id"',
        new='task_id = :task_id"',
        tests=(f"{_RECOVERY}::test_a_task_of_another_user_is_not_found",),
    ),
    Mutant(
        "the isolation of a task",
        "a sweep ends at the first unforeseen error",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="except Exception as unnamed:",
        new="except ContentError as unnamed:",
        tests=(f"{_FOREIGN}::test_an_unforeseen_error_affects_only_its_task",),
    ),
    Mutant(
        "the reading of foreign rows",
        "a number that Python cannot read raises an error",
        f"{_LAYER}/documents.py",
        old="    except ValueError:\n        return _decode_long_numbers(text)",
        new="    except UnicodeError:\n        return _decode_long_numbers(text)",
        tests=(f"{_FOREIGN}::test_a_row_that_python_cannot_read_is_reconciled_like_any_other",),
    ),
    Mutant(
        "the limit of an id",
        "an id that is too long for an index is passed to the tables",
        f"{_LAYER}/content/kind.py",
        old="if size > MAX_KEY_BYTES:",
        new="if size > 10**9:",
        tests=(f"{_FOREIGN}::test_a_concept_id_too_long_for_an_index_fails_only_its_own_items",),
    ),
    Mutant(
        "the SQLSTATEs of the server",
        "an unclassified SQLSTATE fails the batch",
        f"{_LAYER}/postgres/partial_save.py",
        old="IF SQLSTATE ~ '<server_states>' THEN",
        new="IF SQLSTATE !~ '^(21|22|23|54|P0001)' THEN",
        tests=(f"{_FOREIGN}::test_a_refused_row_affects_no_other_row_under_any_sqlstate",),
    ),
    Mutant(
        "the message of a database error",
        "the driver's message is recorded, with its SQL and its rows",
        f"{_LAYER}/postgres/transactions.py",
        old='return fields["C"], explain(fields["C"], fields.get("n"), fields.get("t"))',
        new='return fields["C"], str(error)',
        tests=(
            f"{_FOREIGN}::test_the_error_of_a_renamed_column_shows_no_sql",
            f"{_FOREIGN}::test_a_refusal_does_not_contain_the_refused_values",
        ),
    ),
    Mutant(
        "the end of waiting",
        "a thread that waits for a used connection fails with an unnamed error",
        f"{_LAYER}/postgres/transactions.py",
        old="except (DBAPIError, OSError, NoFreeConnection) as error:",
        new="except (DBAPIError, OSError) as error:",
        tests=(f"{_STALLS}::test_sixteen_threads_of_one_connection_end_with_a_named_error",),
    ),
    Mutant(
        "the end of waiting",
        "a lock that was not released stays with the warm environment",
        f"{_LAYER}/generation/item_locks.py",
        old="            self._engine.dispose()\n",
        new="",
        tests=(f"{_STALLS}::test_a_lock_that_could_not_be_released_ends_with_its_work",),
    ),
    Mutant(
        "the end of waiting",
        "the event of an execution's end skips a locked roadmap as fast as a sweep",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="deadline if request.detail is not None else deadline.within(TASK_SECONDS)",
        new="deadline.within(TASK_SECONDS)",
        tests=(f"{_RECOVERY}::test_the_end_of_a_run_is_recorded_when_its_blocked_save_releases_its_locks",),
    ),
    Mutant(
        "the locks that a sweep skips",
        "the sweep waits for each lock",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="""                lock_roadmap_at_once(connection, task.roadmap_id or "")
                lock_task_at_once(connection, task_id)
""",
        new="",
        tests=(f"{_RECOVERY}::test_a_sweep_skips_locked_tasks_and_retries_them_at_its_end",),
    ),
    Mutant(
        "the claim of a redrive",
        "a redrive starts while a retry is running",
        f"{_LAYER}/retries/retry.py",
        old="claimed, *_ = claim("
        "services, snapshot.task, execution_arn, deadline, start, work, redrive=True)\n",
        new="claimed = snapshot.task\n",
        tests=(f"{_PAIRS}::test_requests_to_start",),
    ),
    Mutant(
        "the claim of a redrive",
        "a redrive takes the claim of another one for its own",
        f"{_LAYER}/tasks/claims.py",
        old="may_be_claimed = state is not QueueState.REDRIVING",
        new="may_be_claimed = True",
        tests=(f"{_PAIRS}::test_requests_to_start",),
    ),
    Mutant(
        "the claim of a redrive",
        "between its claim and RedriveExecution, the execution counts as over",
        f"{_LAYER}/tasks/claims.py",
        old="if task.queue_state in (QueueState.WAITING, QueueState.REDRIVING):",
        new="if task.queue_state == QueueState.WAITING:",
        tests=(f"{_PAIRS}::test_requests_to_start",),
    ),
    Mutant(
        "the queue",
        "a retry replaces an attempt that waits",
        f"{_LAYER}/tasks/claims.py",
        old="if task.queue_state in (QueueState.WAITING, QueueState.REDRIVING):",
        new="if task.queue_state == QueueState.REDRIVING:",
        tests=(f"{_PAIRS}::test_admissions",),
    ),
    Mutant(
        "a cancellation",
        "a claim undoes a cancellation since its task was read",
        f"{_LAYER}/tasks/task.py",
        old="\n    AND (status <> 'cancelled' OR CAST(:was_cancelled AS boolean))",
        new="",
        tests=(f"{_PAIRS}::test_a_cancellation_and_a_claim",),
    ),
    Mutant(
        "a cancellation",
        "an outcome overwrites the status of a cancelled task",
        f"{_LAYER}/tasks/task.py",
        old="status = CASE status WHEN 'cancelled' THEN status ELSE :status END",
        new="status = :status",
        tests=(f"{_PAIRS}::test_a_cancel_and_the_end_of_a_run",),
    ),
    Mutant(
        "the fence of Plan",
        "a late Plan plans for an ended attempt",
        f"{_LAYER}/tasks/claims.py",
        old="if services.executions.state(execution.arn) is not ExecutionState.RUNNING:",
        new="if services.executions.state(execution.arn) is None:",
        tests=(
            f"{_FENCING}::test_a_plan_delivered_after_the_end_of_its_attempt_plans_nothing",
            f"{_PAIRS}::test_a_late_end_and_the_next_attempt",
        ),
    ),
    Mutant(
        "the counts of a superseded attempt",
        "an attempt without a recorded end stays open",
        f"{_LAYER}/tasks/claims.py",
        old="            for earlier in superseded:\n",
        new="            for earlier in superseded[:0]:\n",
        tests=(
            f"{_FENCING}::test_an_attempt_without_a_recorded_end_is_counted_at_the_next_claim",
            f"{_PAIRS}::test_a_late_end_and_the_next_attempt",
        ),
    ),
    Mutant(
        "the order of checks",
        "new tasks are checked before waiting ones",
        f"{_LAYER}/tasks/checks.py",
        old="ORDER BY c.next_check_at, t.task_id",
        new="ORDER BY t.task_id",
        tests=(f"{_RECOVERY}::test_new_tasks_do_not_delay_waiting_tasks_of_a_sweep",),
    ),
    Mutant(
        "the order of checks",
        "a sweep ends after its first page, even if time is left",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="while page := transact(engine, due, deadline):",
        new="if page := transact(engine, due, deadline):",
        tests=(f"{_RECOVERY}::test_a_sweep_checks_every_finished_task_and_then_waits",),
    ),
    Mutant(
        "the order of checks",
        "a task that is left as it is stays the next one",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="            _leave(services, task, request, deadline)\n            return None\n\n",
        new="            return None\n\n",
        tests=(f"{_CHECKS}::test_a_task_is_checked_when_the_product_has_ended_its_work_on_the_roadmap",),
    ),
    Mutant(
        "the order of checks",
        "a task of a deleted roadmap stays the next one",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="        transact(services.engine, forget_unchecked_tasks, deadline)\n",
        new="",
        tests=(f"{_CHECKS}::test_a_task_of_a_deleted_roadmap_is_not_due_until_the_roadmap_is_restored",),
    ),
    Mutant(
        "the order of checks",
        "the pauses of an unchanged task stay short",
        f"{_LAYER}/tasks/checks.py",
        old="least(2 * c.pause,",
        new="least(c.pause,",
        tests=(f"{_CHECKS}::test_the_pauses_of_an_unchanged_task_double_and_a_change_ends_them",),
    ),
    Mutant(
        "the order of checks",
        "a scheduled sweep describes every execution",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="if request.time is not None:\n            break",
        new="if False:\n            break",
        tests=(f"{_CALLS}::test_a_scheduled_sweep_describes_a_page_and_reaches_a_run_that_died",),
    ),
    Mutant(
        "the order of checks",
        "a sweep checks the oldest runs first, whether or not they make progress",
        f"{_LAYER}/tasks/task.py",
        old="ORDER BY {_PROGRESSED_AT}, t.task_id LIMIT :limit",
        new="ORDER BY t.updated_at, t.task_id LIMIT :limit",
        tests=(f"{_CALLS}::test_a_scheduled_sweep_describes_a_page_and_reaches_a_run_that_died",),
    ),
    Mutant(
        "the limits of size",
        "a staged object of any size is read",
        f"{_LAYER}/storage/bucket.py",
        old="if limit is not None and size > limit:",
        new="if limit is not None and size < 0:",
        tests=(f"{_SIZES}::test_staged_content_that_is_too_large_is_refused_unread_and_regenerated",),
    ),
    Mutant(
        "the limits of size",
        "a response contains all failed items",
        f"{_LAYER}/api/sizes.py",
        old="if before and size > MOST_BYTES:",
        new="if size < 0:",
        tests=(f"{_SIZES}::test_a_response_fits_for_any_ids",),
    ),
    Mutant(
        "the limits of size",
        "the failures of old attempts are kept forever",
        f"{_LAYER}/tasks/failures.py",
        old="if attempt > KEPT_ATTEMPTS:",
        new="if attempt < 0:",
        tests=(f"{_SIZES}::test_a_status_reads_the_failures_of_the_last_attempt_and_old_ones_expire",),
    ),
    Mutant(
        "the text of a framework",
        "the text is decoded and encoded again",
        f"{_LAYER}/roadmaps/framework_text.py",
        old="if encode(document) == text:",
        new="if encode(document):",
        tests=(
            "tests/integration/test_framework_text.py::test_only_our_fields_change_and_every_other_byte_stays",
        ),
    ),
    Mutant(
        "the name of an execution",
        "the name is not truncated",
        f"{_LAYER}/aws/executions.py",
        old="[: MAX_NAME - len(suffix)] + suffix",
        new=" + suffix",
        tests=(f"{_FENCING}::test_the_longest_task_id_makes_a_name_that_step_functions_takes",),
    ),
    Mutant(
        "an attempt before its start",
        "an admitted attempt without an execution counts as over",
        f"{_LAYER}/tasks/claims.py",
        old="return task.queue_state == QueueState.STARTING",
        new="return False",
        tests=(
            f"{_RECOVERY}::test_an_attempt_that_was_claimed_and_not_started_is_not_retried",
            f"{_PAIRS}::test_requests_to_start",
        ),
    ),
    Mutant(
        "an attempt before its start",
        "the event of an earlier end ends the attempt of a redrive",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="        if may_run and is_at_work(services.executions, task):",
        new="        if False:",
        tests=(f"{_PAIRS}::test_a_late_end_and_the_next_attempt",),
    ),
    Mutant(
        "an attempt before its start",
        "an execution that was started by hand claims beside it",
        f"{_LAYER}/tasks/claims.py",
        old="    elif is_at_work(services.executions, task):\n        raise ClaimRefusedError",
        new="    elif False:\n        raise ClaimRefusedError",
        tests=(f"{_PAIRS}::test_a_request_and_an_execution_that_arrives",),
    ),
    Mutant(
        "the executions of a renamed stack",
        "a missing permission counts as an outage",
        f"{_LAYER}/aws/executions.py",
        old="return is_foreign and",
        new="return not execution_arn and",
        tests=(f"{_FENCING}::test_an_execution_of_a_stack_that_was_renamed_is_unknown",),
    ),
    Mutant(
        "paid content",
        "other work is done between generating an item and staging it",
        f"{_LAYER}/steps/generate.py",
        old="""        draft, origin = self._draft(item, refused)
""",
        new="""        drafted = self._draft(item, refused)
        self._free_version(item)
        draft, origin = drafted
""",
        tests=(f"{_ONCE}::test_a_generated_item_is_staged_without_other_work_in_between",),
    ),
    Mutant(
        "paid content",
        "items are counted twice after a COMMIT without a response",
        f"{_LAYER}/tasks/attempts.py",
        old="    AND pg_xact_status(CAST(CAST(:earlier AS text) AS xid8)) IS DISTINCT FROM 'committed'\n",
        new="    AND coalesce(:earlier, '') IS NOT NULL\n",
        tests=(f"{_ONCE}::test_items_are_counted_once_if_the_commit_is_not_answered",),
    ),
    Mutant(
        "the error messages of the command",
        "an error of AWS prints a traceback",
        "tools/roadmap_command/interface.py",
        old='if not type(error).__module__.startswith("botocore."):',
        new="if True:",
        tests=("tests/unit/test_command_errors.py::test_an_error_is_one_line_and_a_code",),
    ),
    Mutant(
        "the product's tasks",
        "a sweep checks tasks that were never claimed: a single-concept retry, one of a deleted roadmap",
        f"{_LAYER}/tasks/checks.py",
        old="'failed', 'cancelled') AND t.attempt > 0\n",
        new="'failed', 'cancelled')\n",
        tests=(f"{_OWNERSHIP}::test_a_sweep_does_not_even_select_a_task_of_the_product",),
    ),
    Mutant(
        "the product's tasks",
        "a sweep records the end of tasks that the product is processing: one in curriculum_design",
        f"{_LAYER}/tasks/task.py",
        old="AND t.attempt > 0\n    AND NOT {instant(",
        new="AND NOT {instant(",
        tests=(f"{_OWNERSHIP}::test_a_sweep_does_not_even_select_a_task_of_the_product",),
    ),
    Mutant(
        "the product's tasks",
        "a sweep repairs a task of ours whose roadmap its user has deleted",
        f"{_LAYER}/tasks/checks.py",
        old="r.roadmap_id = t.roadmap_id AND r.deleted_at IS NOT NULL",
        new="false",
        tests=(f"{_OWNERSHIP}::test_a_sweep_does_not_change_a_task_of_ours_that_the_product_is_processing",),
    ),
    Mutant(
        "the product's tasks",
        "a retry starts while the product's workers process the task",
        f"{_LAYER}/tasks/ownership.py",
        old="if at_work is None or take_over:",
        new="if at_work is None or task.attempt >= 0:",
        tests=(f"{_OWNERSHIP}::test_a_retry_of_the_product_s_own_work_is_refused_and_changes_nothing",),
    ),
    Mutant(
        "the product's tasks",
        "a retry starts for a task that waits for a person, or has no roadmap yet",
        f"{_LAYER}/tasks/ownership.py",
        old="if not reached_content(task):",
        new="if not reached_content(task) and task.attempt < 0:",
        tests=(f"{_OWNERSHIP}::test_a_retry_of_the_product_s_own_work_is_refused_and_changes_nothing",),
    ),
    Mutant(
        "the product's tasks",
        "a retry starts while the product's workers process another task of the roadmap",
        f"{_LAYER}/tasks/ownership.py",
        old="[own, *siblings]",
        new="[own]",
        tests=(f"{_SIBLINGS}::test_a_retry_is_refused_and_names_the_sibling",),
    ),
    Mutant(
        "the product's tasks",
        "a sweep projects a roadmap that another task of the product generates",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="(is_finished and any(",
        new="(not is_finished and any(",
        tests=(f"{_SIBLINGS}::test_a_sweep_does_not_project_a_roadmap_that_a_sibling_generates",),
    ),
    Mutant(
        "the product's tasks",
        "an item is generated that the product has saved since the plan",
        f"{_LAYER}/steps/generate.py",
        old="        if item in saved:\n",
        new="        if item in ():\n",
        tests=(f"{_SIBLINGS}::test_an_item_that_was_saved_since_the_plan_is_not_generated",),
    ),
    Mutant(
        "the product's tasks",
        "a restart of the product marks a task with a running attempt",
        "migrations/baseline/triggers.py",
        old="AND attempt = OLD.attempt AND ended_at IS NULL",
        new="AND attempt = OLD.attempt AND ended_at IS NOT NULL",
        tests=(f"{_RESTART}::test_a_task_with_an_open_attempt_stays_as_it_is",),
    ),
    Mutant(
        "the product's tasks",
        "a restart of the product marks a task that was cancelled since it read it",
        "migrations/baseline/triggers.py",
        old="IF OLD.status <> 'processing' OR EXISTS",
        new="IF EXISTS",
        tests=(f"{_RESTART}::test_a_restart_that_read_a_task_before_it_changed_does_not_mark_it",),
    ),
    Mutant(
        "the replacement of saved items",
        "the rows that two workers inserted at the same moment stay",
        f"{_LAYER}/steps/finalize.py",
        old="if merged := merge_items(connection, roadmap_id):",
        new="if merged := 0:",
        tests=("tests/product/test_one_row.py::test_a_sweep_merges_duplicates_of_our_tasks",),
    ),
    Mutant(
        "the replacement of saved items",
        "a regenerated quiz gets a new row",
        f"{_LAYER}/content/single_row.py",
        old="WHEN mine.{key} IS NOT NULL THEN 'replaced'",
        new="WHEN mine.{key} IS NOT NULL THEN 'new'",
        tests=(f"{_SINGLE}::test_resources_and_quizzes_are_replaced_only_when_the_new_ones_are_saved",),
    ),
    Mutant(
        "the time zone",
        "a row in the future is not reported",
        f"{_LAYER}/api/health.py",
        old="    if contradicts(ahead):",
        new="    if contradicts(ahead) and overdue:",
        tests=(
            "tests/product/test_time_zone.py::test_the_contradiction_stays_visible_when_the_time_has_passed",
        ),
    ),
    Mutant(
        "the product's pages",
        "a page of another origin cannot read an answer",
        f"{_LAYER}/api/http.py",
        old="return cors.readable(self.app.resolve(event, context), event)",
        new="return self.app.resolve(event, context)",
        tests=("tests/unit/test_cors.py::test_every_answer_can_be_read_by_a_configured_page",),
    ),
    Mutant(
        "a cancellation",
        "items are generated for a task that is cancelled",
        f"{_LAYER}/steps/generate.py",
        old="        if reasons.ended is not None:\n            raise TaskCancelledError(",
        new="        if False:\n            raise TaskCancelledError(",
        tests=(
            f"{_CANCELLING}::test_a_task_cancelled_during_a_run_starts_no_further_item",
            f"{_PAIRS}::test_a_cancel_and_a_batch",
        ),
    ),
    Mutant(
        "a cancellation",
        "items are saved for a task that is cancelled",
        f"{_LAYER}/steps/save.py",
        old="ended = why_stopped(connection, self._plan.task_id, self._plan.attempt).ended",
        new="ended = None",
        tests=(
            f"{_CANCELLING}::test_a_task_cancelled_during_a_run_starts_no_further_item",
            f"{_PAIRS}::test_a_cancel_and_a_batch",
        ),
    ),
    Mutant(
        "a cancellation",
        "the message of the cancellation is overwritten",
        f"{_LAYER}/tasks/task.py",
        old="error_message = CASE status WHEN 'cancelled' THEN error_message ELSE :error_message END",
        new="error_message = :error_message",
        tests=(
            f"{_CANCELLING}::test_a_task_cancelled_during_a_run_starts_no_further_item",
            f"{_PAIRS}::test_a_cancel_and_the_end_of_a_run",
        ),
    ),
    Mutant(
        "a cancellation",
        "a run that was started before the cancellation claims the task after it",
        f"{_LAYER}/tasks/claims.py",
        old="if is_cancelled_since(task, execution):",
        new="if is_cancelled_since(task, execution) and task.attempt < 0:",
        tests=(
            f"{_CANCELLING}::test_a_task_cancelled_before_its_first_step_is_not_started",
            f"{_PAIRS}::test_a_cancellation_and_a_claim",
        ),
    ),
    Mutant(
        "the product's projection",
        "concept_metadata is not updated after a repair",
        f"{_LAYER}/steps/projection.py",
        old="    if _project_concept_metadata(",
        new="    if not rows and _project_concept_metadata(",
        tests=("tests/product/test_healing.py::test_one_post_repairs_the_state_of_the_bug_report",),
    ),
    Mutant(
        "the replacement of saved items",
        "a quiz that the product wrote meanwhile is replaced",
        f"{_LAYER}/content/single_row.py",
        old="mine.{key} IS NOT NULL AND mine.revision IS DISTINCT FROM i.replaces",
        new="mine.{key} IS NOT NULL AND i.replaces IS NULL",
        tests=(f"{_SINGLE}::test_a_row_that_the_product_writes_meanwhile_is_kept",),
    ),
    Mutant(
        "the replacement of saved items",
        "the content from which an item was saved counts as its replacement",
        f"{_LAYER}/storage/staging.py",
        old="        if replaced_id is None:\n",
        new="        if replaced_id is None or replaced_id:\n",
        tests=(f"{_SINGLE}::test_a_regenerated_tutorial_gets_the_next_version",),
    ),
    Mutant(
        "the replacement of saved items",
        "an attempt for one item counts the missing items of others",
        f"{_LAYER}/steps/finalize.py",
        old="[*filter(scope.includes, missing), *not_replaced]",
        new="[*missing, *not_replaced]",
        tests=(f"{_SINGLE}::test_a_limited_retry_generates_its_part_and_keeps_the_other_failures",),
    ),
    Mutant(
        "the outbox",
        "a delivery waits for another session that takes an event",
        f"{_LAYER}/outbox.py",
        old="FOR UPDATE SKIP LOCKED",
        new="FOR UPDATE",
        tests=(f"{_OUTBOX}::test_events_that_another_session_holds_are_passed_over",),
    ),
    Mutant(
        "the outbox",
        "a reader of the feed misses changes of transactions that overlap",
        f"{_LAYER}/outbox.py",
        old="SELECT pg_advisory_xact_lock(hashtextextended('content_events ' || task_id, 0))",
        new="SELECT hashtextextended('content_events ' || task_id, 0)",
        tests=(f"{_CHANGES}::test_a_reader_between_two_transactions_that_overlap_misses_no_change",),
    ),
    Mutant(
        "the outbox",
        "two deliveries send the same events",
        f"{_LAYER}/outbox.py",
        old='        connection.execute(LEASE, {"event_ids": ids, "seconds": LEASE_SECONDS})\n',
        new="",
        tests=(f"{_OUTBOX}::test_concurrent_deliveries_send_different_events",),
    ),
    Mutant(
        "the outbox",
        "refused events count as delivered",
        f"{_LAYER}/outbox.py",
        old="[event_id for event_id in event_ids if event_id not in refused]",
        new="event_ids",
        tests=(f"{_OUTBOX}::test_refused_events_do_not_keep_younger_ones_back",),
    ),
    Mutant(
        "the outbox",
        "a refused event is due again at once, before younger ones",
        f"{_LAYER}/outbox.py",
        old="power(2, least(e.tries, 20))",
        new="power(0, 1)",
        tests=(f"{_OUTBOX}::test_the_pause_after_a_refusal_doubles",),
    ),
    Mutant(
        "the outbox",
        "an event that is too large is sent again and again",
        f"{_LAYER}/outbox.py",
        old="if entry.size > MAX_BYTES}",
        new="if entry.size < 0}",
        tests=(f"{_OUTBOX}::test_an_event_that_is_too_large_is_set_aside_alone",),
    ),
    Mutant(
        "the id of an event",
        "a state that comes back has the id of its first event",
        f"{_LAYER}/events.py",
        old=", replaced_at.isoformat())",
        new=")",
        tests=(f"{_OUTBOX}::test_a_state_that_comes_back_is_reported_again",),
    ),
    Mutant(
        "the id of an event",
        "a concept that fails again has the id of its first failure",
        f"{_LAYER}/events.py",
        old="identity = (concept_id, occurred_at)",
        new="identity = (concept_id,)",
        tests=(f"{_OUTBOX}::test_a_state_that_comes_back_is_reported_again",),
    ),
    Mutant(
        "a cancellation",
        "a batch goes on after its regeneration was cancelled",
        f"{_LAYER}/tasks/task.py",
        old="AND a.outcome = 'cancelled')",
        new="AND false)",
        tests=(
            f"{_CANCELLING}::test_a_cancelled_regeneration_leaves_the_task_completed",
            f"{_CANCELLING}::test_generate_stops_after_a_regeneration_was_cancelled",
            f"{_PAIRS}::test_a_cancel_and_a_batch",
        ),
    ),
    Mutant(
        "a cancellation",
        "a cancelled attempt ends as completed",
        f"{_LAYER}/tasks/attempts.py",
        old="CASE outcome WHEN 'cancelled' THEN outcome ELSE :outcome END",
        new=":outcome",
        tests=(
            f"{_CANCELLING}::test_a_cancelled_regeneration_leaves_the_task_completed",
            f"{_PAIRS}::test_a_cancel_and_the_end_of_a_run",
        ),
    ),
    Mutant(
        "a cancellation",
        "a cancel that came too late answers cancelled",
        f"{_LAYER}/api/cancel.py",
        old='if not cancelled and task.status == "completed":',
        new='if not cancelled and task.status == "none":',
        tests=(
            f"{_CANCELLING}::test_the_answer_of_a_cancel_that_came_too_late_is_what_happened",
            f"{_PAIRS}::test_a_cancel_and_the_end_of_a_run",
        ),
    ),
    Mutant(
        "a cancellation",
        "a cancel of a completed task changes it",
        f"{_LAYER}/tasks/task.py",
        old="WHERE task_id = :task_id AND status NOT IN ('completed', 'cancelled')\n",
        new="WHERE task_id = :task_id\n",
        tests=(f"{_PAIRS}::test_a_cancel_and_the_end_of_a_run",),
    ),
    Mutant(
        "a cancellation",
        "a task is claimed between two statements of its cancellation",
        f"{_LAYER}/api/cancel.py",
        old="        lock_task(connection, task_id)  # otherwise",
        new="        # otherwise",
        tests=(f"{_PAIRS}::test_a_cancellation_and_a_claim",),
    ),
    Mutant(
        "a cancellation",
        "the items of a cancelled run fail with the error of its end",
        f"{_LAYER}/steps/finalize.py",
        old='    if task.status == "cancelled":\n',
        new='    if task.status == "none":\n',
        tests=(f"{_CANCELLING}::test_the_items_of_a_cancelled_run_fail_as_cancelled",),
    ),
    Mutant(
        "a cancellation",
        "a cancelled task is retried automatically",
        f"{_LAYER}/retries/retry.py",
        old='if start.cause is Cause.AUTOMATIC and task.status == "cancelled":',
        new="if False:",
        tests=(
            f"{_AUTOMATIC}::test_a_task_that_is_cancelled_before_its_automatic_attempt_stays_cancelled",
            f"{_PAIRS}::test_a_cancellation_and_a_claim",
        ),
    ),
    Mutant(
        "instants of local times",
        "a filter compares local times",
        f"{_LAYER}/tasks/listing.py",
        old="nullif({instant('t.updated_at')} {sign} {bound}, false) IS NOT NULL",
        new="true",
        tests=(f"{_DAYLIGHT_SAVING}::test_a_filter_selects_by_the_time_that_is_shown",),
    ),
    Mutant(
        "instants of local times",
        "a sweep ends an attempt that was claimed just before the clocks went back",
        f"{_LAYER}/tasks/task.py",
        old="""    AND NOT {earliest_instant("t.updated_at")} {_JUST_NOW}\n""",
        new="",
        tests=(f"{_DAYLIGHT_SAVING}::test_a_sweep_leaves_an_attempt_that_was_just_claimed",),
    ),
    Mutant(
        "instants of local times",
        "clocks that went back prove that the zone is wrong",
        f"{_LAYER}/tasks/time_zone.py",
        old="""    {earliest_instant("t.created_at")} -""",
        new="""    timezone('UTC', timezone(content_time_zone(), t.created_at)) -""",
        tests=(f"{_DAYLIGHT_SAVING}::test_clocks_that_moved_do_not_prove_another_zone",),
    ),
    Mutant(
        "the position in a list",
        "a cursor contains an instant, which a zone with daylight saving maps to another row",
        f"{_LAYER}/tasks/listing.py",
        old="Key(rows[limit - 1].position, rows[limit - 1].task_id)",
        new="Key(rows[limit - 1].created_at, rows[limit - 1].task_id)",
        tests=("tests/integration/test_read_model.py::test_a_list_ends_in_a_zone_with_daylight_saving",),
    ),
    Mutant(
        "the position in a list",
        "the zone of a cursor is ignored",
        f"{_LAYER}/api/cursors.py",
        old="    if found.tzinfo is not None:\n",
        new="    if found is None:\n",
        tests=("tests/unit/test_many_decisions.py::test_a_position_with_a_zone_is_refused",),
    ),
    Mutant(
        "the time for foreign text",
        "a reason of 500 letters is read 500 times",
        f"{_LAYER}/tasks/failure_groups.py",
        old='re.compile(r"[\\w./:@#-]+")',
        new='re.compile(r"[\\w./:@#-]*\\d[\\w./:@#-]*")',
        tests=("tests/unit/test_foreign_patterns.py::test_the_time_grows_with_the_text",),
    ),
    Mutant(
        "the roles of a token",
        "an empty scope makes an operator where no scope is configured",
        f"{_LAYER}/authorization/roles.py",
        old="if scope and scope in granted:",
        new="if scope in granted:",
        tests=("tests/unit/test_scopes.py::test_a_scope_that_is_not_configured_grants_nothing",),
    ),
    Mutant(
        "the operator's terminal",
        "text of others is read as markup",
        "tools/roadmap_command/terminal.py",
        old="markup=False",
        new="markup=True",
        tests=(
            "tests/unit/test_terminal.py::test_a_status_and_a_line_of_a_terminal_show_no_control_characters",
        ),
    ),
    Mutant(
        "the operator's terminal",
        "control characters of a reason reach the terminal",
        "tools/roadmap_command/terminal.py",
        old='return _UNSAFE.sub("", text)',
        new="return text",
        tests=(
            "tests/unit/test_terminal.py::test_a_list_shows_any_title_and_reason",
            "tests/unit/test_terminal.py::test_a_status_and_a_line_of_a_terminal_show_no_control_characters",
        ),
    ),
    Mutant(
        "paid content",
        "a text that was refused is adopted again",
        f"{_LAYER}/steps/generate.py",
        old="if item in self._known.refusals:  # a text",
        new="if item is None:  # a text",
        tests=("tests/product/test_paid_texts.py::test_a_text_that_was_refused_is_not_adopted_again",),
    ),
    Mutant(
        "the roles of a token",
        "a time in milliseconds is accepted, and cannot be written as a date",
        f"{_LAYER}/authorization/tokens.py",
        old='    if int(claims["exp"]) > LATEST_EXPIRY:\n',
        new='    if int(claims["exp"]) < 0:\n',
        tests=("tests/unit/test_authorization.py::test_a_well_signed_token_with_wrong_claims_is_refused",),
    ),
    Mutant(
        "the isolation of a task",
        "a refused start stops the sweep",
        f"{_LAYER}/reconciliation/reconcile.py",
        old='        except ContentError as error:\n            logger.error("sweep_did_not_start"',
        new='        except RoadmapLockedError as error:\n            logger.error("sweep_did_not_start"',
        tests=(f"{_OUTBOX}::test_a_refusal_before_its_checks_does_not_stop_the_sweep",),
    ),
    Mutant(
        "the admission",
        "the limit of the grants",
        f"{_LAYER}/tasks/queue.py",
        old="    WHERE w.grants < c.most AND ",
        new="    WHERE ",
        tests=(f"{_QUEUE}::test_more_slots_admit_more_and_fewer_slots_take_none_away",),
    ),
    Mutant(
        "the admission",
        "a user's next attempt is not admitted above the slots",
        f"{_LAYER}/tasks/queue.py",
        old="AND (w.grants < c.slots OR NOT EXISTS (SELECT",
        new="AND (true OR NOT EXISTS (SELECT",
        tests=(f"{_QUEUE}::test_a_user_s_next_attempts_leave_the_capacity_above_the_slots_to_others",),
    ),
    Mutant(
        "the admission",
        "a recovery's next attempt is not admitted above the slots",
        f"{_LAYER}/tasks/queue.py",
        old="AND (w.grants < c.slots OR NOT (first.class = 'bulk' AND w.bulk))",
        new="",
        tests=(f"{_QUEUE}::test_a_recovery_leaves_the_capacity_above_the_slots_to_people",),
    ),
    Mutant(
        "the admission",
        "an attempt counts before its execution has planned it",
        f"{_LAYER}/tasks/queue_policy.py",
        old="AT_WORK = (QueueState.STARTING, ",
        new="AT_WORK = (",
        tests=(f"{_QUEUE}::test_many_processes_admit_each_attempt_once",),
    ),
    Mutant(
        "the admission",
        "the switch that stops it",
        f"{_LAYER}/tasks/queue.py",
        old=" FROM content_capacity WHERE stopped_reason IS NULL",
        new=" FROM content_capacity",
        tests=(f"{_QUEUE}::test_a_stop_admits_nothing_and_its_end_admits_everybody",),
    ),
    Mutant(
        "the admission",
        "interactive before bulk",
        f"{_LAYER}/tasks/queue.py",
        old="first.class = 'interactive' DESC LIMIT 1",
        new="first.class = 'bulk' DESC LIMIT 1",
        tests=(f"{_QUEUE}::test_bulk_comes_after_interactive_and_one_bulk_attempt_is_always_at_work",),
    ),
    Mutant(
        "the admission",
        "one bulk attempt is always at work",
        f"{_LAYER}/tasks/queue.py",
        old="(first.class = 'bulk' AND NOT w.bulk) DESC, ",
        new="",
        tests=(f"{_QUEUE}::test_bulk_comes_after_interactive_and_one_bulk_attempt_is_always_at_work",),
    ),
    Mutant(
        "the admission",
        "the smallest counter first",
        f"{_LAYER}/tasks/queue.py",
        old="ORDER BY k.charged, k.queue_key LIMIT 1",
        new="ORDER BY k.queue_key LIMIT 1",
        tests=(f"{_QUEUE}::test_users_share_the_capacity_by_tokens",),
    ),
    Mutant(
        "the admission",
        "the oldest attempt of a user first",
        f"{_LAYER}/tasks/queue.py",
        old="ORDER BY q.enqueued_at, q.task_id LIMIT 1 FOR",
        new="ORDER BY q.task_id LIMIT 1 FOR",
        tests=(f"{_QUEUE}::test_the_attempts_of_a_user_are_admitted_in_the_order_of_their_claims",),
    ),
    Mutant(
        "the admission",
        "the charge",
        f"{_LAYER}/tasks/queue.py",
        old="charged = k.charged + coalesce((SELECT tokens",
        new="charged = k.charged + 0 * coalesce((SELECT tokens",
        tests=(f"{_QUEUE}::test_users_share_the_capacity_by_tokens",),
    ),
    Mutant(
        "the admission",
        "the weight of a user",
        f"{_LAYER}/tasks/queue.py",
        old=f"{_WEIGHT}\n    FROM next_key",
        new="\n    FROM next_key",
        tests=(f"{_QUEUE}::test_a_weight_multiplies_the_share_of_a_user",),
    ),
    Mutant(
        "the admission",
        "the tenant as the key",
        f"{_LAYER}/tasks/queue.py",
        old="coalesce('tenant:' || left(CAST(:tenant AS text), 200),",
        new="coalesce(left(CAST(:tenant AS text), 0) || NULL,",
        tests=(f"{_QUEUE}::test_a_tenant_replaces_the_user",),
    ),
    Mutant(
        "the admission",
        "an operator's tenant is not the task's",
        f"{_LAYER}/api/callers.py",
        old="return None if self.changes_all else self.tenant",
        new="return self.tenant",
        tests=(
            f"{_QUEUE}::test_the_tenant_of_the_caller_s_token_replaces_the_user_and_an_operator_s_does_not",
        ),
    ),
    Mutant(
        "the admission",
        "a new user starts at the largest counter",
        f"{_LAYER}/tasks/queue.py",
        old="SELECT :class, e.queue_key, 1 + greatest(",
        new="SELECT :class, e.queue_key, 1 + 0 * greatest(",
        tests=(f"{_QUEUE}::test_new_users_do_not_starve_a_user_with_a_large_counter",),
    ),
    Mutant(
        "the admission",
        "new users are served in the order of their arrival",
        f"{_LAYER}/tasks/queue.py",
        old="SELECT :class, e.queue_key, 1 + greatest(",
        new="SELECT :class, e.queue_key, greatest(",
        tests=(
            f"{_QUEUE}::test_users_who_arrive_between_two_admissions_are_served_in_the_order_of_their_arrival",
        ),
    ),
    Mutant(
        "the admission",
        "a returning user starts at the largest counter",
        f"{_LAYER}/tasks/queue.py",
        old="THEN known.charged ELSE greatest(known.charged, excluded.charged) END",
        new="THEN known.charged ELSE known.charged END",
        tests=(f"{_QUEUE}::test_a_user_who_returns_has_saved_no_credit",),
    ),
    Mutant(
        "the admission",
        "a user who waits keeps the counter",
        f"{_LAYER}/tasks/queue.py",
        old="charged = CASE WHEN known.waiting OR EXISTS",
        new="charged = CASE WHEN EXISTS",
        tests=(f"{_QUEUE}::test_a_second_attempt_does_not_raise_the_counter",),
    ),
    Mutant(
        "the admission",
        "a user at work keeps the counter",
        f"{_LAYER}/tasks/queue.py",
        old="q.queue_key = known.queue_key AND q.state IN ({_AT_WORK}))",
        new="q.queue_key = known.queue_key AND q.state = 'none')",
        tests=(f"{_QUEUE}::test_a_second_attempt_does_not_raise_the_counter",),
    ),
    Mutant(
        "the admission",
        "the end corrects the charge",
        f"{_LAYER}/tasks/queue.py",
        old="k.charged + (a.tokens - r.estimated)",
        new="k.charged + 0 * (a.tokens - r.estimated)",
        tests=(f"{_QUEUE}::test_the_end_corrects_the_charge_once",),
    ),
    Mutant(
        "the admission",
        "the end corrects it once",
        f"{_LAYER}/tasks/queue.py",
        old="WHERE (q.task_id, q.attempt) = (:task_id, :attempt) AND q.state <> 'ended'",
        new="WHERE (q.task_id, q.attempt) = (:task_id, :attempt)",
        tests=(f"{_QUEUE}::test_the_end_corrects_the_charge_once",),
    ),
    Mutant(
        "the admission",
        "the estimate of a generator that reports no tokens",
        f"{_LAYER}/tasks/queue.py",
        old="(:task_id, :attempt) AND a.tokens > 0",
        new="(:task_id, :attempt)",
        tests=(f"{_QUEUE}::test_without_reported_tokens_the_estimate_stays",),
    ),
    Mutant(
        "the admission",
        "an attempt that waited was not charged",
        f"{_LAYER}/tasks/queue.py",
        old=" AND NOT r.waited",
        new="",
        tests=(f"{_QUEUE}::test_a_waiting_attempt_that_ends_is_not_charged",),
    ),
    Mutant(
        "the admission",
        "the plan corrects the charge",
        f"{_LAYER}/tasks/queue.py",
        old="charged = k.charged - c.less",
        new="charged = k.charged - 0 * c.less",
        tests=(f"{_QUEUE}::test_the_plan_corrects_the_estimate_and_frees_slots",),
    ),
    Mutant(
        "the admission",
        "slots that a plan does not need",
        f"{_LAYER}/tasks/queue.py",
        old="before.grants > q.grants AS freed",
        new="false AS freed",
        tests=(f"{_QUEUE}::test_the_plan_corrects_the_estimate_and_frees_slots",),
    ),
    Mutant(
        "the admission",
        "only a waiting attempt leaves the queue",
        f"{_LAYER}/tasks/queue.py",
        old="WHERE task_id = :task_id AND attempt = :attempt AND state = 'waiting'",
        new="WHERE task_id = :task_id AND attempt = :attempt AND state <> 'ended'",
        tests=(
            f"{_QUEUE}::test_an_attempt_that_left_the_queue_does_not_hold_up_the_next",
            f"{_PAIRS}::test_a_cancel_and_the_end_of_a_run",
        ),
    ),
    Mutant(
        "the admission",
        "an attempt that leaves the queue while it is read is admitted",
        f"{_LAYER}/tasks/queue.py",
        old="LIMIT 1 FOR UPDATE) AS oldest",
        new="LIMIT 1) AS oldest",
        tests=(f"{_PAIRS}::test_admissions",),
    ),
    Mutant(
        "the admission",
        "a late plan gives an ended attempt its slots again",
        f"{_LAYER}/tasks/queue.py",
        old="(q.task_id, q.attempt) AND q.state IN ({_AT_WORK})",
        new="(q.task_id, q.attempt)",
        tests=(f"{_PAIRS}::test_the_end_of_a_run_and_its_counts",),
    ),
    Mutant(
        "the admission",
        "a superseded attempt keeps its slots",
        f"{_LAYER}/tasks/queue.py",
        old="WHERE task_id = :task_id AND attempt < :attempt AND state <> 'ended'",
        new="WHERE task_id = :task_id AND attempt < 0",
        tests=(f"{_PAIRS}::test_a_late_end_and_the_next_attempt",),
    ),
    Mutant(
        "the admission",
        "the user after one whose attempts have left",
        f"{_LAYER}/tasks/queue.py",
        old="> 0 AND (a.task_id IS NULL\n",
        new="> 0 AND (false\n",
        tests=(f"{_QUEUE}::test_an_attempt_that_left_the_queue_does_not_hold_up_the_next",),
    ),
    Mutant(
        "the admission",
        "the end of deleted tasks' attempts",
        f"{_LAYER}/tasks/queue.py",
        old="    connection.execute(END_ORPHANS)\n",
        new="",
        tests=(f"{_QUEUE}::test_the_place_of_a_deleted_task_is_given_to_the_next",),
    ),
    Mutant(
        "the admission",
        "staged work takes no slot",
        f"{_LAYER}/tasks/queue.py",
        old="grants = 0, tokens = 0\n",
        new="grants = q.grants\n",
        tests=(f"{_QUEUE}::test_staged_content_is_saved_without_a_slot",),
    ),
    Mutant(
        "the admission",
        "the lock of a claim",
        f"{_LAYER}/tasks/queue.py",
        old="WITH locked AS MATERIALIZED (SELECT FROM content_capacity FOR UPDATE),",
        new="WITH locked AS MATERIALIZED (SELECT FROM content_capacity),",
        tests=(f"{_PAIRS}::test_admissions",),
    ),
    Mutant(
        "the admission",
        "the lock of an admission",
        f"{_LAYER}/tasks/admission.py",
        old="        lock_capacity(connection)\n",
        new="",
        tests=(f"{_PAIRS}::test_admissions",),
    ),
    Mutant(
        "the stop switch",
        "a running attempt asks before each item",
        f"{_LAYER}/steps/generate.py",
        old="if reasons.generation_stopped is not None:",
        new="if False:",
        tests=(f"{_CAPACITY}::test_a_running_attempt_generates_no_further_item_until_the_resumption",),
    ),
    Mutant(
        "the stop switch",
        "a batch with waiting items is repeated",
        f"{_LAYER}/steps/generate.py",
        old="    if report.waiting:\n",
        new="    if False:\n",
        tests=(f"{_CAPACITY}::test_a_running_attempt_generates_no_further_item_until_the_resumption",),
    ),
    Mutant(
        "the stop switch",
        "an operator's scope",
        "functions/recovery_api/app.py",
        old="    caller.require_operator()\n    set_capacity(",
        new="    set_capacity(",
        tests=("tests/integration/test_roles.py::test_permissions_per_role",),
    ),
    Mutant(
        "the link check",
        "only public addresses are requested",
        f"{_LAYER}/links/web.py",
        old="if self._is_public(each)]",
        new="]",
        tests=(f"{_LINKS}::test_each_of_1000_links_is_judged_as_it_is_and_no_private_address_is_requested",),
    ),
    Mutant(
        "the link check",
        "doubt is not death",
        f"{_LAYER}/links/judgement.py",
        old='        raise DoubtError(f"status {page.status}")',
        new='        raise DeadLinkError(f"status {page.status}")',
        tests=(f"{_LINKS}::test_no_dead_link_of_1000_is_saved_and_no_live_one_is_dropped",),
    ),
    Mutant(
        "the link check",
        "a soft 404 is confirmed by an impossible address",
        f"{_LAYER}/links/judgement.py",
        old="            return  # this site says so if a page is missing",
        new='            raise DeadLinkError("it looks so") from None',
        tests=(f"{_LINKS}::test_each_of_1000_links_is_judged_as_it_is_and_no_private_address_is_requested",),
    ),
    Mutant(
        "the content check",
        "a batch that is too large for one call is asked about in halves",
        f"{_LAYER}/steps/save.py",
        old="if isinstance(error, TooMuchToCheckError) and len(to_check) > 1:",
        new="if False:",
        tests=(f"{_CONTENT_CHECK}::test_a_batch_that_is_too_large_for_one_call_is_checked_in_parts",),
    ),
    Mutant(
        "regenerations",
        "a refusal before the current content was saved is over",
        f"{_LAYER}/recoveries/regeneration.py",
        old="\n            AND refused.origin_id > coalesce(o.origin_id, 0)",
        new="",
        tests=(f"{_REGENERATION}::test_what_a_check_refused_is_regenerated_until_it_is_accepted",),
    ),
    Mutant(
        "the feed of changes",
        "who waits long in the queue polls rarely",
        f"{_LAYER}/api/change_list.py",
        old="    if not task.is_waiting:\n        return POLL_SECONDS\n",
        new="    return POLL_SECONDS\n",
        tests=(f"{_CHANGES}::test_a_task_that_waits_long_in_the_queue_is_polled_rarely",),
    ),
    Mutant(
        "the model's quota",
        "no more at once than the burst",
        f"{_LAYER}/generation/quota.py",
        old="least(known.promised + (SELECT burst FROM capacity), ",
        new="least('infinity', ",
        tests=(f"{_MODEL_QUOTA}::test_after_a_time_without_calls_only_the_burst_starts_at_once",),
    ),
    Mutant(
        "the model's quota",
        "all leases share it",
        f"{_LAYER}/generation/quota.py",
        old="promised = known.promised + excluded.promised",
        new="promised = greatest(known.promised, excluded.promised)",
        tests=(f"{_MODEL_QUOTA}::test_concurrent_invocations_never_take_more_than_the_quota_supplied",),
    ),
    Mutant(
        "the model's quota",
        "leases are served in their order",
        f"{_LAYER}/generation/quota.py",
        old="return min(self.left, max(0, supplied - (self.end - self.left)))",
        new="return self.left if supplied >= self.left else 0",
        tests=(f"{_MODEL_QUOTA}::test_invocations_share_the_quota_in_the_order_in_which_they_asked",),
    ),
    Mutant(
        "the model's quota",
        "output counts several times",
        f"{_LAYER}/generation/quota.py",
        old="self._settings.model_output_burndown * usage.tokens_out",
        new="usage.tokens_out",
        tests=(f"{_MODEL_QUOTA}::test_output_that_counts_several_times_delays_the_next_call",),
    ),
    Mutant(
        "the model's quota",
        "unused tokens are returned",
        f"{_LAYER}/generation/quota.py",
        old="known.supplied + :returned",
        new="known.supplied + 0 * :returned",
        tests=(f"{_MODEL_QUOTA}::test_the_tokens_that_a_call_did_not_use_are_available_to_others",),
    ),
    Mutant(
        "the model's quota",
        "a stop reaches calls that wait",
        f"{_LAYER}/generation/quota.py",
        old="                if stopped_reason is not None:",
        new="                if stopped_reason == '':",
        tests=(f"{_MODEL_QUOTA}::test_a_stop_reaches_calls_that_wait",),
    ),
    Mutant(
        "the model's quota",
        "one exchange for the calls that wait",
        f"{_LAYER}/generation/quota.py",
        old="            if number and missing + tokens > limit:",
        new="            if number:",
        tests=(f"{_MODEL_QUOTA}::test_the_waiting_calls_of_an_invocation_need_one_round_trip",),
    ),
    Mutant(
        "the model's quota",
        "what the model refused counts",
        f"{_LAYER}/generation/model.py",
        old="if isinstance(error, ModelThrottledError):\n                    counted = None",
        new="pass",
        tests=(
            f"{_CONVERSATION}::test_the_quota_counts_what_may_have_been_charged_and_what_the_model_refused",
        ),
    ),
    Mutant(
        "the model's quota",
        "no call without the time for its answer",
        f"{_LAYER}/generation/model.py",
        old="if allowance.deadline.remaining - quota.wait < self._needed:",
        new="if allowance.deadline.remaining - quota.wait < 0:",
        tests=(f"{_CONVERSATION}::test_a_call_waits_for_the_quota_while_the_time_suffices",),
    ),
    Mutant(
        "the model's quota",
        "a maximum output for each content type",
        f"{_LAYER}/generation/bedrock.py",
        old="prompt.most_output(self.max_output)",
        new="self.max_output",
        tests=(f"{_BEDROCK}::test_an_item_is_generated_with_one_call",),
    ),
    Mutant(
        "the model's quota",
        "only bulk uses the tier for bulk",
        f"{_LAYER}/generation/bedrock.py",
        old="prompt.is_bulk and self.bulk_tier",
        new="self.bulk_tier",
        tests=(f"{_BEDROCK}::test_only_bulk_items_use_the_tier_for_them",),
    ),
    Mutant(
        "the model's quota",
        "each change is recorded",
        f"{_LAYER}/tasks/capacity.py",
        old="        OR b.new_tokens_per_minute IS DISTINCT FROM b.tokens_per_minute\n",
        new="",
        tests=(
            f"{_CAPACITY}::test_the_model_s_quota_is_set_changed_and_removed_and_each_change_is_recorded",
        ),
    ),
    Mutant(
        "the admission",
        "the slots of a run that ended unnoticed are freed within a minute",
        f"{_LAYER}/reconciliation/reconcile.py",
        old="        _free_slots(request, services, deadline.within(STARTING_SECONDS))\n",
        new="",
        tests=(f"{_CAPACITY}::{_UNNOTICED}",),
    ),
    Mutant(
        "the admission",
        "executions are described each minute only while attempts wait",
        f"{_LAYER}/tasks/queue.py",
        old="    AND EXISTS (SELECT FROM content_queue w WHERE w.state = 'waiting')\n",
        new="",
        tests=(f"{_CAPACITY}::{_UNNOTICED}",),
    ),
)
