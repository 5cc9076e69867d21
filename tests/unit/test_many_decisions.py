"""Pure decisions about many tasks: groups, balances, recoveries, automatic attempts, cursors."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from roadmap_content.api.pages import (
    MAX_INTEGER,
    Integer,
    LocalTime,
    Text,
    decode_cursor,
    encode_cursor,
)
from roadmap_content.api.parameters import Cursor
from roadmap_content.api.task_list import item_totals
from roadmap_content.capabilities.automatic_attempts.plans import FIRST_PAUSE, LONGEST_PAUSE, pause_before
from roadmap_content.capabilities.recoveries.decisions import (
    BURST,
    FINAL_STATES,
    LEAST_ENDED,
    PAUSED_STATES,
    Limits,
    Progress,
    RunningTask,
    affordable,
    interval,
    may_start,
    next_state,
    settlement_of,
    time_left,
)
from roadmap_content.contracts.api.tasks import ItemTotals
from roadmap_content.contracts.errors import InvalidCursorError, code_of
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage
from roadmap_content.contracts.states import Cause, NextAction, RecoveryState, TaskResult
from roadmap_content.state.failures.groups import MAX_NORMALISED, group_failures, group_of, normalise_reason
from roadmap_content.state.tasks.attempts import balance
from roadmap_content.state.tasks.listing import Key
from roadmap_content.state.tasks.next_actions import advice_for

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reason", "other"),
    [
        ("note holds a NUL character at character 0", "note holds a NUL character at character 431"),
        (
            "Key (concept_id)=(r-1:c-1-1) already exists",
            "Key (concept_id)=(prompt-engineering-9b2c8d4e:c-2-2) already exists",
        ),
        ("StartExecution: arn:aws:states:eu:1:x", "StartExecution: arn:aws:states:us:2:y"),
        ("timeout after 12.5 s", "timeout after 3 s"),
        ("there is no roadmap 'abc-1'", "there is no roadmap 'def-2 3'"),
        ("manifests/a1/1-x.jsonl: cut off", "manifests/b2/9-y.jsonl: cut off"),
    ],
)
def test_reasons_that_differ_only_by_item_are_one_group(reason: str, other: str) -> None:
    assert normalise_reason(reason) == normalise_reason(other)


@pytest.mark.parametrize(
    ("reason", "other"),
    [
        ('violates unique constraint "one_quiz"', 'violates unique constraint "one_text"'),
        ("the server is gone", "too many connections"),
    ],
)
def test_reasons_that_differ_in_kind_are_two_groups(reason: str, other: str) -> None:
    assert normalise_reason(reason) != normalise_reason(other)


@given(st.text(max_size=400))
def test_a_normalised_reason_holds_no_number_and_stays_the_same(reason: str) -> None:
    normalised = normalise_reason(reason)
    assert len(normalised) <= MAX_NORMALISED
    assert not any(character.isdecimal() for character in normalised)
    assert normalise_reason(normalised) == normalised


def failure(number: int, reason: str = "x", *, transient: bool = True) -> Failure:
    return Failure(Item(f"c-{number}", ContentType.QUIZ), Stage.SAVE, "E", reason, transient)


def test_groups_count_every_failure_once() -> None:
    groups = group_failures([failure(1), failure(2, "y"), failure(3), failure(4, transient=False)])
    assert [(group.items, group.transient, group.example.item.concept_id) for group in groups] == [
        (3, False, "c-1"),
        (1, True, "c-2"),
    ]
    assert group_of(failure(1)).group_id == group_of(failure(9)).group_id


def test_one_cause_of_several_types_is_one_group() -> None:
    tutorial = failure(1)._replace(item=Item("c-1", ContentType.TUTORIAL))
    groups = group_failures([failure(1), tutorial, failure(2)])
    assert [(group.content_type, group.items) for group in groups] == [("quiz", 2), ("tutorial", 1)]
    assert len({group.key.group_id for group in groups}) == 1


counts = st.fixed_dictionaries({name: st.integers(0, 50) for name in ContentType})


@given(st.none() | counts, counts, counts)
def test_the_counts_of_an_attempt_add_up(
    planned: dict[ContentType, int] | None,
    missing: dict[ContentType, int],
    not_started: dict[ContentType, int],
) -> None:
    read_back = None if planned is None else {str(name): count for name, count in planned.items()}
    failing = {name: max(0, count - not_started[name]) for name, count in missing.items()}
    plan, saved, failed = balance(read_back, missing, failing)
    for name in ContentType:
        assert plan[name] - saved[name] == min(plan[name], missing[name])
        assert 0 <= failed[name] <= min(failing[name], plan[name] - saved[name])
        assert failing[name] < missing[name] or plan[name] == saved[name] + failed[name]


@pytest.mark.parametrize(
    ("error_code", "stage", "action"),
    [
        ("IdTaken", Stage.SAVE, NextAction.REPLACE_ID),
        ("DatabaseUnavailable", Stage.SAVE, NextAction.SAVE),
        ("ModelBusy", Stage.GENERATE, NextAction.GENERATE),
        ("TokenBudgetExhausted", Stage.GENERATE, NextAction.PERSON),
    ],
)
def test_the_action_of_the_next_attempt(error_code: str, stage: Stage, action: NextAction) -> None:
    advice = advice_for(error_code, stage)
    assert advice.action is action
    assert advice.needs_person == (action is NextAction.PERSON)
    assert advice.text.endswith(".")


@pytest.mark.parametrize(
    ("type_name", "code"),
    [
        ("DatabaseUnavailableError", "DatabaseUnavailable"),
        ("StaleAttemptError", "StaleAttempt"),
        ("ContentIncomplete", "ContentIncomplete"),
        ("States.Timeout", "States.Timeout"),
        ("NotReported", "NotReported"),
    ],
)
def test_a_type_that_lambda_reports_is_recorded_by_its_code(type_name: str, code: str) -> None:
    """Otherwise one outage would be two groups, and a filter for its code would find only one of them."""
    assert code_of(type_name) == code


LIMITS = Limits(rate_per_minute=60, concurrency=10, token_budget=None, canary=0)
IDLE = Progress(0, 0, 0, 0, 0, 0, 0, 0, False, 0, [])

progresses = st.builds(
    Progress,
    waiting=st.integers(0, 20),
    running=st.integers(0, 20),
    tokens_used=st.integers(0, 1_000),
    paid=st.integers(0, 20),
    canary_waiting=st.integers(0, 3),
    canary_running=st.integers(0, 3),
    canary_ended=st.integers(0, 3),
    canary_failed=st.integers(0, 3),
    others_started=st.booleans(),
    last_ended=st.integers(0, 5),
    last_failed=st.lists(st.dictionaries(st.sampled_from("gh"), st.just("E: x")), max_size=5),
)


@given(progresses, st.sampled_from(RecoveryState), st.integers(1, 600), st.integers(1, 50))
def test_no_start_is_beyond_the_limits(
    progress: Progress, state: RecoveryState, rate: int, concurrency: int
) -> None:
    limits = Limits(rate, concurrency, None, 0)
    allowed, start_at = may_start(state, limits, progress, NOW - timedelta(hours=1), NOW)
    assert 0 <= allowed <= max(0, concurrency - progress.running)
    assert allowed <= progress.waiting or state is RecoveryState.CANARY
    assert start_at + max(0, allowed - 1) * interval(limits) <= NOW
    assert start_at >= NOW - BURST
    if state in FINAL_STATES | PAUSED_STATES:
        assert allowed == 0


@given(progresses, st.sampled_from(sorted(FINAL_STATES | PAUSED_STATES)))
def test_a_final_or_paused_state_stays(progress: Progress, state: RecoveryState) -> None:
    assert next_state(state, LIMITS, progress) == (state, None)


def test_the_canary_stops_if_most_of_its_tasks_fail() -> None:
    limits = replace(LIMITS, canary=3)
    waiting = replace(IDLE, waiting=5, canary_ended=3)
    assert next_state(RecoveryState.CANARY, limits, replace(waiting, canary_running=1))[0] == "canary"
    assert next_state(RecoveryState.CANARY, limits, replace(waiting, canary_failed=1))[0] == "running"
    stopped = next_state(RecoveryState.CANARY, limits, replace(waiting, canary_failed=2))
    assert stopped == ("stopped_by_canary", "2 of 3 canary tasks failed")


def breaker(ended: int, *failed: str, waiting: int = 5, window: int = 4) -> tuple[str, str | None]:
    """The decision after `ended` tasks. Each of `failed` has a letter for each group of a failed task."""
    groups = [{letter: f"E: {letter}" for letter in letters} for letters in failed]
    progress = replace(IDLE, waiting=waiting, running=1, last_ended=ended, last_failed=groups)
    return next_state(RecoveryState.RUNNING, replace(LIMITS, breaker=window), progress)


def test_the_breaker_pauses_if_most_of_the_last_tasks_fail() -> None:
    assert breaker(3, "a", "b", "c") == breaker(4, "a", "b") == ("running", None)
    assert breaker(4, "a", "b", "c") == ("paused_by_breaker", "3 of the last 4 tasks failed")
    assert breaker(4, "a", "b", "c", "d", waiting=0) == ("running", None)  # there is nothing left to stop
    assert breaker(4, "a", "a", "a", window=0) == ("running", None)


@pytest.mark.parametrize(
    ("failed", "group"),
    [
        (["a", "a"], None),
        (["a", "a", "a"], "a"),
        (["ab", "cb", "b"], "b"),
        (["ab", "ba", "ab"], "a"),  # the largest group of the last one
        (["a", "a", "a", "b"], "a"),
        (["a", "a", "b", "a"], None),
        (["ab", "bc", "ca"], None),
        (["a", "", "a"], None),
    ],
)
def test_the_breaker_pauses_if_the_last_failed_tasks_have_a_failure_group_in_common(
    failed: list[str], group: str | None
) -> None:
    """Half as many as it looks at are enough, and it does not wait for the others."""
    state, reason = breaker(5, *failed, window=6)
    assert state == ("running" if group is None else "paused_by_breaker")
    assert reason == (
        group
        and f"{len(failed)} of the last 5 tasks failed, the last 3 of them in the same failure group"
        f" {group}: E: {group}"
    )


def test_one_failure_is_no_repetition() -> None:
    assert breaker(1, "a", window=2) == ("running", None)
    assert breaker(1, "a", window=1) == ("paused_by_breaker", "1 of the last 1 tasks failed")


def test_a_budget_is_not_exceeded_by_what_tasks_usually_take() -> None:
    limits = replace(LIMITS, token_budget=250)
    used = replace(IDLE, waiting=3, paid=2, tokens_used=200)
    assert not affordable(limits, used)
    assert affordable(replace(limits, token_budget=300), used)
    assert not affordable(replace(limits, token_budget=300), replace(used, running=1))
    assert next_state(RecoveryState.RUNNING, limits, used)[0] == "stopped_by_budget"


def test_one_task_runs_at_a_time_while_its_cost_is_not_known() -> None:
    limits = replace(LIMITS, token_budget=1_000, concurrency=40)
    unknown = replace(IDLE, waiting=40)
    assert may_start(RecoveryState.RUNNING, limits, unknown, None, NOW)[0] == 1
    assert may_start(RecoveryState.RUNNING, limits, replace(unknown, running=1), None, NOW)[0] == 0


RUNNING = RunningTask("t", True, "failed", True, "failed", 0, "E: x")


def test_the_result_of_a_task_depends_on_its_current_state() -> None:
    def result(**changes: object) -> object:
        settled = settlement_of(replace(RUNNING, **changes))  # type: ignore[arg-type]
        return settled and (settled.result, settled.reason)

    assert result() == (TaskResult.STILL_FAILING, "E: x")
    assert result(top_reason=None) == (TaskResult.STILL_FAILING, "failed")
    assert result(status="completed") == (TaskResult.RECOVERED, None)
    assert result(exists=False) == (TaskResult.REFUSED, "TaskNotFound")
    assert result(ended=False) is None
    assert result(outcome="superseded", status="processing") is None


def pauses(*causes: Cause, limit: int = 3, same: bool = False, saved: int = 0) -> timedelta | None:
    return pause_before(causes, [saved] * len(causes), group_failures([failure(1)]), same, limit)


def test_automatic_attempts_pause_longer_each_time_and_end() -> None:
    automatic = Cause.AUTOMATIC
    assert pauses(Cause.FIRST_RUN) == FIRST_PAUSE
    assert pauses(automatic, Cause.RETRY) == 2 * FIRST_PAUSE
    assert pauses(automatic, automatic, Cause.RETRY) == 4 * FIRST_PAUSE
    assert pauses(automatic, automatic, automatic, Cause.RETRY) is None
    assert pauses(automatic, automatic, Cause.RETRY, same=True) is None
    assert pauses(automatic, automatic, Cause.RETRY, same=True, saved=1) is not None
    assert pauses(Cause.FIRST_RUN, limit=0) is None
    assert pauses(*[automatic] * 1_000, limit=1_001) == LONGEST_PAUSE
    permanent = group_failures([failure(1), failure(2, transient=False)])
    assert pause_before([Cause.RETRY], [0], permanent, False, 3) is None


STORABLE = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


@given(STORABLE, st.integers(0, MAX_INTEGER))
def test_a_cursor_belongs_to_its_list(text: str, number: int) -> None:
    cursor = encode_cursor("list", [text, number])
    assert decode_cursor("list", cursor, tuple[Text, Integer]) == (text, number)
    for name, key in (("other", tuple[Text, Integer]), ("list", tuple[Text, Integer, Text])):
        with pytest.raises(InvalidCursorError):
            decode_cursor(name, cursor, key)


@given(st.datetimes(), STORABLE)
def test_a_position_survives_a_cursor(created_at: datetime, task_id: str) -> None:
    key = Key(created_at, task_id)
    assert decode_cursor("list", encode_cursor("list", key), tuple[LocalTime, Text]) == key


@pytest.mark.parametrize("task_id", ["\N{GRINNING FACE}" * 64, "x" * 4_000], ids=["emoji", "long"])
def test_the_cursor_after_any_task_is_short_enough_for_the_next_request(task_id: str) -> None:
    """Regression: a list ended with a refusal after a task whose id the product allows."""
    cursor = encode_cursor("tasks 0123456789ab", Key(datetime(2026, 3, 1, 12, 0, 0, 1, UTC), task_id))
    assert TypeAdapter(Cursor).validate_python(cursor) == cursor


def test_a_position_with_a_zone_is_refused() -> None:
    """The column has none: PostgreSQL would ignore the zone, and the list would continue hours away."""
    cursor = encode_cursor("list", [datetime(2026, 3, 1, 12, tzinfo=UTC), "t-1"])
    with pytest.raises(InvalidCursorError):
        decode_cursor("list", cursor, tuple[LocalTime, Text])


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_refused(cursor: str) -> None:
    with suppress(InvalidCursorError):
        decode_cursor("list", cursor, tuple[Integer])


COUNT = {"total": 3, "completed": 2, "failed": 1}


@pytest.mark.parametrize(
    ("summary", "totals"),
    [
        (
            {"tutorial": COUNT, "resources": COUNT, "quiz": COUNT},
            ItemTotals(total=9, saved=6, missing=3, failed=3),
        ),
        ({"quiz": COUNT, "attempt": 1}, ItemTotals(total=3, saved=2, missing=1, failed=1)),  # of fewer types
        # A cancelled attempt has not started the other items.
        ({"quiz": COUNT | {"failed": 0}}, ItemTotals(total=3, saved=2, missing=1, failed=0)),
        ({"tutorial": COUNT, "quiz": {"total": 3}}, None),
        ({"note": COUNT}, None),
        ([], None),
    ],
)
def test_the_totals_of_a_task_count_the_types_of_its_summary(summary: Any, totals: ItemTotals | None) -> None:
    assert item_totals(json.dumps(summary)) == totals


def test_a_summary_that_python_cannot_read_has_no_totals() -> None:
    assert item_totals("9" * 5_000) is None


PAUSES = st.lists(st.integers(1, 1_000), min_size=LEAST_ENDED, max_size=50)
"""The seconds between the ends of a recovery's tasks."""


def left_after(pauses: list[int], left: int, silence: int = 0) -> tuple[float, float]:
    """The seconds that the last tasks will take, after some have ended and a silence."""
    ends = [NOW + timedelta(seconds=sum(pauses[: k + 1])) for k in range(len(pauses))]
    elapsed = ends[-1] + timedelta(seconds=silence) - NOW
    lately = sum(end > NOW + elapsed / 2 for end in ends)
    found = time_left(sum(end > NOW for end in ends), lately, left, elapsed)
    assert found is not None
    least, most = found
    return least.total_seconds(), most.total_seconds()


@given(PAUSES, st.integers(1, 1_000), st.integers(0, 5_000))
def test_an_estimate_has_the_average_in_it_and_a_silence_never_shortens_it(
    pauses: list[int], left: int, silence: int
) -> None:
    least, most = left_after(pauses, left, silence)
    average = left * (sum(pauses) + silence) / len(pauses)
    assert 0 < least - 0.001 <= average <= most + 0.001
    assert (least, most) <= left_after(pauses, left + 1, silence)
    later = left_after(pauses, left, silence + 60)
    assert least <= later[0] + 0.001
    assert most <= later[1] + 0.001


@given(st.integers(1, 1_000), st.integers(LEAST_ENDED, 50), st.integers(1, 1_000))
def test_an_estimate_of_a_steady_speed_is_narrow(pause: int, ended: int, left: int) -> None:
    least, most = left_after([pause] * ended, left)
    assert most == pytest.approx(pause * left)
    assert least >= 0.75 * most


@given(st.integers(0, LEAST_ENDED - 1), st.integers(0, 1_000))
def test_nothing_is_estimated_from_few_tasks_nor_when_none_is_left(ended: int, left: int) -> None:
    assert time_left(ended, ended, left, timedelta(minutes=1)) is None
    assert time_left(20, 20, 0, timedelta(minutes=1)) is None
