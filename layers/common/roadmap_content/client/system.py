"""The client's requests that are about many tasks, or about the system."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..contracts.api.capacity import CapacityAnswer
from ..contracts.api.failures import FailureGroup, FailureGroupDetail, FailureHistory, FailurePage
from ..contracts.api.items import OriginCounts
from ..contracts.api.recoveries import (
    RecoveryAnswer,
    RecoveryPage,
    RecoveryPreview,
    RecoveryTask,
    RecoveryTaskPage,
    UndoAnswer,
)
from ..contracts.api.system import Activity, Health, Identity
from ..contracts.api.tasks import TaskPage, TaskRow
from ..contracts.erasure import ErasureAnswer, Removed, ReplayAnswer
from ..contracts.payloads import NOT_IN_PATH
from .http import HttpApi, QueryValue, path_of, rows


class SystemRequests:
    """Each request has the token of the client's own user; it needs the scope of a viewer or of an operator.
    Only `tasks` takes another user, whose own tasks need no scope.
    """

    _api: HttpApi

    def tasks(self, caller: str | None = None, /, **filters: QueryValue) -> Iterator[TaskRow]:
        """Tasks, the newest first. `filters` are the parameters of the operation; see `docs/api.md`."""
        return rows(self.task_pages(caller, **filters))

    def task_pages(self, caller: str | None = None, /, **filters: QueryValue) -> Iterator[TaskPage]:
        """The pages of `tasks`, each with the number of all tasks."""
        return self._api.pages("/tasks", TaskPage, caller, **filters)

    def failures(self, **filters: QueryValue) -> Iterator[FailureGroup]:
        """Groups of current failures, the largest first. `filters` as for `tasks`."""
        return rows(self._api.pages("/failures", FailurePage, **filters))

    def failure_history(self, days: int = 1) -> FailureHistory:
        """The failures of the last days, also those that have healed."""
        return self._api.call("GET", "/failure-hours", FailureHistory, days=days)

    def failure_group(self, group_id: str) -> FailureGroupDetail:
        """One failure group, the changes of its state and its recoveries."""
        return self._api.call("GET", path_of("failures", group_id), FailureGroupDetail)

    def change_failure_group(
        self,
        group_id: str,
        state: str,
        note: str,
        *,
        until: datetime | None = None,
        until_tasks: int | None = None,
    ) -> FailureGroupDetail:
        """Make a failure group `acknowledged`, `ignored` (until a time or a number of tasks), `resolved` or
        `new`. Only new and regressed groups call a person.
        """
        end = until and until.isoformat()
        body = {"state": state, "note": note, "until": end, "until_tasks": until_tasks}
        return self._api.call("PUT", path_of("failures", group_id), FailureGroupDetail, None, body)

    def me(self) -> Identity:
        """The identity and the roles of the token."""
        return self._api.call("GET", "/me", Identity)

    def health(self) -> Health:
        """The state of the system."""
        return self._api.call("GET", "/health", Health)

    def activity(self) -> Activity:
        """The work of each of the last 24 hours."""
        return self._api.call("GET", "/health/hours", Activity)

    def origins(self) -> OriginCounts:
        """The number of items per generator, model and prompt."""
        return self._api.call("GET", "/origins", OriginCounts)

    def capacity(self) -> CapacityAnswer:
        """The capacity and the queue."""
        return self._api.call("GET", "/capacity", CapacityAnswer)

    def change_capacity(
        self,
        reason: str,
        *,
        slots: int | None = None,
        tokens_per_minute: int | None = None,
        stopped: bool | None = None,
    ) -> CapacityAnswer:
        """Change the number of slots or the model's quota (0: none), or stop or resume generation."""
        limits = {"slots": slots, "tokens_per_minute": tokens_per_minute, "stopped": stopped}
        return self._api.call("PUT", "/capacity", CapacityAnswer, None, {"reason": reason} | limits)

    def create_recovery(
        self,
        task_filter: Mapping[str, Any],
        reason: str,
        *,
        regenerate: Mapping[str, Any] | None = None,
        instruction: str | None = None,
        rate_per_minute: int | None = None,
        concurrency: int | None = None,
        token_budget: int | None = None,
        canary: int | None = None,
        breaker: int | None = None,
    ) -> RecoveryAnswer:
        """Retry the tasks that a filter selects now. With `regenerate`, the saved items that its conditions
        select now are replaced instead, or changed as an `instruction` says. A limit that is `None` has the
        API's default.
        """
        body = {
            "filter": task_filter,
            "reason": reason,
            "regenerate": regenerate,
            "instruction": instruction,
            "rate_per_minute": rate_per_minute,
            "concurrency": concurrency,
            "token_budget": token_budget,
            "canary": canary,
            "breaker": breaker,
        }
        return self._api.call("POST", "/recoveries", RecoveryAnswer, None, body)

    def preview_recovery(
        self, task_filter: Mapping[str, Any], reason: str, **changes_and_limits: object
    ) -> RecoveryPreview:
        """Count the tasks and items that `create_recovery` would retry with these arguments. Nothing is
        started.
        """
        body = {"filter": task_filter, "reason": reason, **changes_and_limits, "dry_run": True}
        return self._api.call("POST", "/recoveries", RecoveryPreview, None, body)

    def recoveries(self, *, limit: int | None = None) -> Iterator[RecoveryAnswer]:
        """Recoveries, the newest first, requested in pages of `limit`."""
        return rows(self._api.pages("/recoveries", RecoveryPage, limit=limit))

    def recovery(self, recovery_id: str) -> RecoveryAnswer:
        """One recovery with its counts."""
        return self._api.call("GET", path_of("recoveries", recovery_id), RecoveryAnswer)

    def recovery_tasks(
        self,
        recovery_id: str,
        *,
        result: str | None = None,
        limit: int | None = None,
    ) -> Iterator[RecoveryTask]:
        """The result of each task of a recovery, or of those with one result, in pages of `limit`."""
        path = path_of("recoveries", recovery_id, "tasks")
        return rows(self._api.pages(path, RecoveryTaskPage, result=result, limit=limit))

    def pause_recovery(self, recovery_id: str, *, reason: str | None = None) -> RecoveryAnswer:
        """Start no further tasks until the recovery is resumed."""
        path = path_of("recoveries", recovery_id, "pause")
        return self._api.call("POST", path, RecoveryAnswer, reason=reason)

    def resume_recovery(self, recovery_id: str, *, reason: str | None = None) -> RecoveryAnswer:
        """Resume a paused recovery."""
        path = path_of("recoveries", recovery_id, "resume")
        return self._api.call("POST", path, RecoveryAnswer, reason=reason)

    def cancel_recovery(self, recovery_id: str, *, reason: str | None = None) -> RecoveryAnswer:
        """Start no further tasks, permanently."""
        path = path_of("recoveries", recovery_id, "cancel")
        return self._api.call("POST", path, RecoveryAnswer, reason=reason)

    def erase(
        self,
        user_id: str,
        *,
        product_rows: bool = False,
        dry_run: bool = False,
        replay: str | None = None,
        progress: Callable[[ErasureAnswer], object] = lambda _: None,
    ) -> ErasureAnswer:
        """Erase everything that names a user, or with `dry_run` count it; return the last answer, with the
        numbers of all parts. If runs had to be stopped, it is not complete: call it again after
        `waits_until`. `replay` applies an erasure of `due_erasures` again.

        Raises:
            ApiRefusedError: a row of the product refers to one that was to be deleted (409).
            ApiUnavailableError: the same request continues later.
        """
        path, after = path_of("users", NOT_IN_PATH, "content"), None
        removed, stays = Removed(), Removed()
        query: dict[str, QueryValue] = {
            "exact": user_id,
            "product_rows": product_rows,
            "dry_run": dry_run,
            "replay": replay,
        }
        while True:
            answer = self._api.call("DELETE", path, ErasureAnswer, **query, after=after)
            removed, stays, after = removed + answer.removed, stays + answer.stays, answer.after
            answer = answer.model_copy(update={"removed": removed, "stays": stays})
            if answer.complete or answer.waits_until is not None:
                return answer
            progress(answer)

    def due_erasures(self) -> ReplayAnswer:
        """The erasures of users that the database has rows of again, as after the restore of a backup."""
        return self._api.call("POST", "/erasures/due", ReplayAnswer)

    def undo_recovery(
        self,
        recovery_id: str,
        *,
        reason: str | None = None,
        dry_run: bool = False,
        progress: Callable[[UndoAnswer], object] = lambda _: None,
    ) -> UndoAnswer:
        """Restore the contents of before a recovery regenerated them; see `recovery_tasks` for each task.
        With `dry_run`, count the tasks that are left.

        Each request has a time limit, and the next one continues. `progress` is called between them.

        Raises:
            ApiRefusedError: the recovery has not ended, or has regenerated nothing (409).
            ApiUnavailableError: the same request continues later.
        """
        path = path_of("recoveries", recovery_id, "undo")
        if dry_run:
            return self._api.call("POST", path, UndoAnswer, dry_run=True)
        while not (answer := self._api.call("POST", path, UndoAnswer, reason=reason)).complete:
            progress(answer)
        return answer
