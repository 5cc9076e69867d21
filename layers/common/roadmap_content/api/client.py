"""A client for products: stage generated content, start a run, get a task's status, retry.

    client = Client.from_environment(token=my_token_for)
    client.stage("r-1", "c-1", "quiz", quiz)
    client.start("task-1")
    for change in client.changes("task-1", "user-1"):
        if change.type == "Item Saved":
            client.content("task-1", "user-1", change.data["concept_id"], change.data["content_type"])

`stage` needs `s3:PutObject` on the bucket's `staged/*`, `start` needs `states:StartExecution` on the state
machine; both import boto3 when they are called. All others are HTTP requests with the user's token.
"""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from email.message import Message
from http.client import HTTPException
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlencode

from ..content.registry import CONTENT_KINDS
from ..contracts.errors import (
    ContentError,
    InvalidRequestError,
    MissingSettingError,
    PermanentError,
    TransientError,
)
from ..contracts.items import ContentType, Item
from ..contracts.payloads import PayloadT
from ..platform.aws.executions import Executions
from ..platform.storage.bucket import Bucket
from ..platform.storage.staging import Staging

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from ..runs.retries.retry import RetryAnswer
    from .attempt_list import AttemptRow
    from .cancel import CancelAnswer
    from .capacity import CapacityAnswer
    from .change_list import Change
    from .content_reading import SavedItem
    from .failure_group import FailureGroupDetail
    from .failure_list import FailureGroup
    from .health import Health
    from .identity import Identity
    from .item_detail import ItemDetail
    from .item_map import ItemMap
    from .origins import OriginCounts
    from .preview import RetryPreview
    from .recovery_list import RecoveryAnswer, RecoveryPreview, RecoveryTask
    from .recovery_undo import UndoAnswer
    from .revisions import RestoreAnswer, Revision
    from .status import TaskStatus
    from .task_list import TaskRow

BUCKET, STATE_MACHINE_ARN, API_URL = "ROADMAP_BUCKET", "ROADMAP_STATE_MACHINE_ARN", "ROADMAP_API_URL"
"""The environment variables of `Client.from_environment`; `roadmap env` prints them."""

UNAVAILABLE_SECONDS = 5
"""The pause after a request for changes that the API did not answer."""


class ApiRefusedError(PermanentError):
    """The API or Step Functions refused a request; `status` is the HTTP status, `error` the code of the
    answer.
    """

    code = "ApiRefused"

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(f"{status} {error}: {message}")
        self.status = status
        self.error = error


class ApiUnavailableError(TransientError):
    """The API did not respond, or answered with a server error or 429. The same request may succeed later."""

    code = "ApiUnavailable"


_REFUSED = frozenset(
    {"AccessDeniedException", "InvalidArn", "StateMachineDoesNotExist", "UnrecognizedClientException"}
)
"""Errors of StartExecution that a repetition would get again: a permission or a setting is wrong."""


class HttpAnswer(NamedTuple):
    """An HTTP response. `body` is decoded if it is JSON; the names of `headers` are in lower case."""

    status: int
    body: Any
    headers: Mapping[str, str] = MappingProxyType({})


class Client:
    """A client of one deployment."""

    def __init__(
        self,
        *,
        bucket: str,
        state_machine_arn: str,
        api_url: str,
        token: Callable[[str], str],
        s3: "S3Client | None" = None,
        stepfunctions: "SFNClient | None" = None,
    ) -> None:
        """Create a client; it connects on first use. `token` returns a token for the API for a given user."""
        self._bucket = Bucket(bucket, s3)
        self._state_machine_arn = state_machine_arn
        self._api_url = api_url
        self._token = token
        self._stepfunctions = stepfunctions

    @classmethod
    def from_environment(cls, token: Callable[[str], str], environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings of the deployment from the environment.

        Raises:
            MissingSettingError: a variable is not set.
        """
        for name in (BUCKET, STATE_MACHINE_ARN, API_URL):
            if not environ.get(name):
                raise MissingSettingError(f'{name} is not set; on the local stack: eval "$(roadmap env)"')
        return cls(
            bucket=environ[BUCKET],
            state_machine_arn=environ[STATE_MACHINE_ARN],
            api_url=environ[API_URL],
            token=token,
        )

    def stage(
        self,
        roadmap_id: str,
        concept_id: str,
        content_type: ContentType | str,
        content: dict[str, Any],
        *,
        replaces: str | None = None,
    ) -> None:
        """Validate and stage one item, so that the next run saves it. Staged content is replaced.

        With `replaces`, the id of the item's saved row, the next `retry(..., regenerate=True)` saves the
        content in place of that row. The content needs a new id.

        Raises:
            InvalidContentError: the content does not match its schema (`docs/schemas/`).
            StorageUnavailableError: S3 could not store it.
        """
        item = Item(concept_id, ContentType(content_type))
        staging = Staging(self._bucket, roadmap_id, {} if replaces is None else {item: replaces})
        staging.write(item, CONTENT_KINDS[item.content_type].check(content))

    def start(self, task_id: str) -> str:
        """Start the first run of a task; return the execution's ARN. A repeated call starts nothing new.

        Commit the rows of the roadmap and of the task first. A run of an unknown task ends without effect,
        and as a first run starts only once, such a task needs `retry`. The audit trail names `console` as the
        actor: no token verifies the caller.

        Raises:
            InvalidRequestError: the task's id is not valid.
            ApiRefusedError: Step Functions refused the request, for example because the role may not send it.
            ApiUnavailableError: Step Functions did not respond; the same request may succeed later.
        """
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        from ..contracts.payloads import TASK_ID

        if not re.fullmatch(TASK_ID, task_id):
            raise InvalidRequestError(f"task_id {task_id!r}: an id has 1 to 64 letters, digits, - and _")
        client = self._stepfunctions or boto3.client("stepfunctions")
        name = f"{task_id}-first"
        try:
            return client.start_execution(
                stateMachineArn=self._state_machine_arn, name=name, input=json.dumps({"task_id": task_id})
            )["executionArn"]
        except client.exceptions.ExecutionAlreadyExists:
            return Executions(self._state_machine_arn).named_arn(name)
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code in _REFUSED:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                raise ApiRefusedError(status, code, message) from error
            raise ApiUnavailableError(f"StartExecution: {error}") from error
        except BotoCoreError as error:
            raise ApiUnavailableError(f"StartExecution: {error}") from error

    def status(self, task_id: str, user_id: str) -> "TaskStatus":
        """Get a task's status.

        Raises:
            ApiRefusedError: the user has no such task, or the token is not valid.
            ApiUnavailableError: the same request may succeed later.
        """
        from .status import TaskStatus

        return TaskStatus.model_validate(self._call("GET", task_id, "", {"user_id": user_id}))

    def retry(
        self,
        task_id: str,
        user_id: str,
        *,
        concept_id: str | None = None,
        content_type: ContentType | str | None = None,
        regenerate: bool = False,
        take_over: bool = False,
        force_checkpoint: bool = False,
        reason: str | None = None,
    ) -> "RetryAnswer":
        """Retry a task's missing items: all, or those of a concept, of a content type, or of both.

        With `regenerate`, saved items of that part are generated again and replaced. With `take_over`, a task
        that the product's own workers are processing is also retried. With `force_checkpoint`, the last
        execution is redriven instead. `reason` is written to the audit trail.

        Raises:
            ApiRefusedError: an attempt is running (409), or the user has no such task.
            ApiUnavailableError: the same request may succeed later.
        """
        from ..runs.retries.retry import RetryAnswer

        query = _retry_query(user_id, concept_id, content_type, regenerate=regenerate)
        if take_over:
            query["take_over"] = "true"
        if force_checkpoint:
            query["force_checkpoint"] = "true"
        if reason is not None:
            query["reason"] = reason
        return RetryAnswer.model_validate(self._call("POST", task_id, "/retry", query))

    def preview_retry(
        self,
        task_id: str,
        user_id: str,
        *,
        concept_id: str | None = None,
        content_type: ContentType | str | None = None,
        regenerate: bool = False,
    ) -> "RetryPreview":
        """Count the items that `retry` would save and generate, and estimate its tokens. Nothing is started.

        Raises:
            ApiRefusedError: the user has no such task, or the token is not valid.
            ApiUnavailableError: the same request may succeed later.
        """
        from .preview import RetryPreview

        query = _retry_query(user_id, concept_id, content_type, regenerate=regenerate) | {"dry_run": "true"}
        return RetryPreview.model_validate(self._call("POST", task_id, "/retry", query))

    def cancel(self, task_id: str, user_id: str, *, reason: str | None = None) -> "CancelAnswer":
        """Cancel a task and stop its run. Staged content stays staged.

        Raises:
            ApiRefusedError: the task is completed (409), or the user has no such task.
            ApiUnavailableError: the same request may succeed later.
        """
        from .cancel import CancelAnswer

        query = {"user_id": user_id} | ({} if reason is None else {"reason": reason})
        return CancelAnswer.model_validate(self._call("POST", task_id, "/cancel", query))

    def content(
        self,
        task_id: str,
        user_id: str,
        concept_id: str,
        content_type: ContentType | str,
        *,
        version: int | None = None,
        revision_id: str | None = None,
    ) -> "SavedItem":
        """Read an item's saved content: the current one, a version of a tutorial, or a revision.

        Raises:
            ApiRefusedError: nothing is saved (404), or the user has no such task.
            ApiUnavailableError: the same request may succeed later.
        """
        from .content_reading import SavedItem

        query = {"user_id": user_id, "concept_id": concept_id}
        if version is not None:
            query["version"] = str(version)
        if revision_id is not None:
            query["revision_id"] = revision_id
        action = f"/content/{ContentType(content_type)}"
        return SavedItem.model_validate(self._call("GET", task_id, action, query))

    def changes(self, task_id: str, user_id: str, *, after: str | None = None) -> Iterator["Change"]:
        """Follow a task until it is over: each change once, in order, from the first one or from `after`.
        After a restore of the database from a backup, it begins again with the first change that is kept.

        Store the `cursor` of the last change, to continue there after a restart. While the API does not
        respond, the same request is repeated after a pause.

        Raises:
            ApiRefusedError: the user has no such task, or the cursor belongs to another one.
        """
        from .change_list import UNFINISHED, ChangePage

        while True:
            query = {"user_id": user_id} | ({} if after is None else {"after": after})
            try:
                answer = self._send("GET", task_id, "/changes", query)
            except ApiUnavailableError:
                time.sleep(UNAVAILABLE_SECONDS)
                continue
            page = ChangePage.model_validate(answer.body)
            for change in page.items:
                yield change
                after = change.cursor
            if not page.more and page.status not in UNFINISHED:
                return
            time.sleep(float(answer.headers["retry-after"]))

    def item(
        self, task_id: str, user_id: str, concept_id: str, content_type: ContentType | str
    ) -> "ItemDetail":
        """Get one item with its failures, its staged, rejected and saved content, and its origin."""
        from .item_detail import ItemDetail

        query = {"user_id": user_id, "concept_id": concept_id}
        action = f"/items/{ContentType(content_type)}"
        return ItemDetail.model_validate(self._call("GET", task_id, action, query))

    def items(self, task_id: str, user_id: str, *, states_only: bool = False) -> Iterator["ItemMap"]:
        """The states of all items, in pages of concepts. `docs/api.md` explains the letters."""
        from .item_map import ItemMap

        query = {"user_id": user_id} | ({"states_only": "true"} if states_only else {})
        return self._pages(f"/tasks/{quote(task_id, safe='')}/items", user_id, ItemMap, query)

    def revisions(
        self, task_id: str, user_id: str, concept_id: str, content_type: ContentType | str
    ) -> list["Revision"]:
        """List the current and the former contents of an item."""
        from .revisions import Revisions

        query = {"user_id": user_id, "concept_id": concept_id}
        action = f"/items/{ContentType(content_type)}/revisions"
        return Revisions.model_validate(self._call("GET", task_id, action, query)).items

    def restore(
        self,
        task_id: str,
        user_id: str,
        concept_id: str,
        content_type: ContentType | str,
        revision_id: str,
        *,
        reason: str | None = None,
    ) -> "RestoreAnswer":
        """Make a former content of an item the current one again.

        Raises:
            ApiRefusedError: there is no such revision (404), or the database refused it (409).
            ApiUnavailableError: the same request may succeed later.
        """
        from .revisions import RestoreAnswer

        query = {"user_id": user_id, "concept_id": concept_id} | (
            {} if reason is None else {"reason": reason}
        )
        action = f"/items/{ContentType(content_type)}/revisions/{quote(revision_id, safe='')}/restore"
        return RestoreAnswer.model_validate(self._call("POST", task_id, action, query))

    def attempts(self, task_id: str, user_id: str) -> Iterator["AttemptRow"]:
        """A task's attempts, the newest first."""
        from .attempt_list import AttemptPage

        path = f"/tasks/{quote(task_id, safe='')}/attempts"
        return chain.from_iterable(
            page.items for page in self._pages(path, user_id, AttemptPage, {"user_id": user_id})
        )

    # With the token of a user who may see, or change, all tasks; a user's own tasks need no scope.

    def tasks(self, user_id: str, **filters: str | Sequence[str]) -> Iterator["TaskRow"]:
        """Tasks, the newest first. `filters` are the parameters of the operation; see `docs/api.md`."""
        from .task_list import TaskPage

        return chain.from_iterable(page.items for page in self._pages("/tasks", user_id, TaskPage, filters))

    def failures(self, user_id: str, **filters: str | Sequence[str]) -> Iterator["FailureGroup"]:
        """Groups of current failures, the largest first. `filters` as for `tasks`."""
        from .failure_list import FailurePage

        pages = self._pages("/failures", user_id, FailurePage, filters)
        return chain.from_iterable(page.items for page in pages)

    def failure_group(self, user_id: str, group_id: str) -> "FailureGroupDetail":
        """One failure group, the changes of its state and its recoveries."""
        from .failure_group import FailureGroupDetail

        return self._read("GET", f"/failures/{quote(group_id, safe='')}", user_id, FailureGroupDetail)

    def change_failure_group(
        self,
        user_id: str,
        group_id: str,
        state: str,
        note: str,
        *,
        until: datetime | None = None,
        until_tasks: int | None = None,
    ) -> "FailureGroupDetail":
        """Make a failure group `acknowledged`, `ignored` (until a time or a number of tasks), `resolved` or
        `new`. Only new and regressed groups call a person.
        """
        from .failure_group import FailureGroupDetail

        body = {
            "state": state,
            "note": note,
            "until": None if until is None else until.isoformat(),
            "until_tasks": until_tasks,
        }
        path = f"/failures/{quote(group_id, safe='')}"
        return self._read("PUT", path, user_id, FailureGroupDetail, body)

    def me(self, user_id: str) -> "Identity":
        """The identity and the roles of the user's token."""
        from .identity import Identity

        return self._read("GET", "/me", user_id, Identity)

    def health(self, user_id: str) -> "Health":
        """The state of the system."""
        from .health import Health

        return self._read("GET", "/health", user_id, Health)

    def origins(self, user_id: str) -> "OriginCounts":
        """The number of items per generator, model and prompt."""
        from .origins import OriginCounts

        return self._read("GET", "/origins", user_id, OriginCounts)

    def capacity(self, user_id: str) -> "CapacityAnswer":
        """The capacity and the queue."""
        from .capacity import CapacityAnswer

        return self._read("GET", "/capacity", user_id, CapacityAnswer)

    def change_capacity(
        self,
        user_id: str,
        reason: str,
        *,
        slots: int | None = None,
        tokens_per_minute: int | None = None,
        stopped: bool | None = None,
    ) -> "CapacityAnswer":
        """Change the number of slots or the model's quota (0: none), or stop or resume generation."""
        from .capacity import CapacityAnswer

        body = {
            "reason": reason,
            "slots": slots,
            "tokens_per_minute": tokens_per_minute,
            "stopped": stopped,
        }
        return self._read("PUT", "/capacity", user_id, CapacityAnswer, body)

    def create_recovery(
        self,
        user_id: str,
        task_filter: Mapping[str, Any],
        reason: str,
        *,
        regenerate: Mapping[str, Any] | None = None,
        **limits: int,
    ) -> "RecoveryAnswer":
        """Retry the tasks that a filter selects now, with a rate limit and other limits.

        With `regenerate`, the saved items that its conditions select now are replaced instead.
        """
        from .recovery_list import RecoveryAnswer

        body = _recovery_request(task_filter, reason, regenerate, limits)
        return self._read("POST", "/recoveries", user_id, RecoveryAnswer, body)

    def preview_recovery(
        self,
        user_id: str,
        task_filter: Mapping[str, Any],
        reason: str,
        *,
        regenerate: Mapping[str, Any] | None = None,
        **limits: int,
    ) -> "RecoveryPreview":
        """Count the tasks and items that `create_recovery` would retry. Nothing is started."""
        from .recovery_list import RecoveryPreview

        body = _recovery_request(task_filter, reason, regenerate, limits) | {"dry_run": True}
        return self._read("POST", "/recoveries", user_id, RecoveryPreview, body)

    def recoveries(self, user_id: str) -> Iterator["RecoveryAnswer"]:
        """Recoveries, the newest first."""
        from .recovery_list import RecoveryPage

        pages = self._pages("/recoveries", user_id, RecoveryPage, {})
        return chain.from_iterable(page.items for page in pages)

    def recovery(self, user_id: str, recovery_id: str) -> "RecoveryAnswer":
        """One recovery with its counts."""
        return self._recovery("GET", user_id, recovery_id)

    def recovery_tasks(
        self, user_id: str, recovery_id: str, *, result: str | None = None
    ) -> Iterator["RecoveryTask"]:
        """The result of each task of a recovery, or of those with one result."""
        from .recovery_list import RecoveryTaskPage

        path = f"/recoveries/{quote(recovery_id, safe='')}/tasks"
        query = {} if result is None else {"result": result}
        return chain.from_iterable(page.items for page in self._pages(path, user_id, RecoveryTaskPage, query))

    def pause_recovery(self, user_id: str, recovery_id: str) -> "RecoveryAnswer":
        """Start no further tasks until the recovery is resumed."""
        return self._recovery("POST", user_id, recovery_id, "/pause")

    def resume_recovery(self, user_id: str, recovery_id: str) -> "RecoveryAnswer":
        """Resume a paused recovery."""
        return self._recovery("POST", user_id, recovery_id, "/resume")

    def cancel_recovery(self, user_id: str, recovery_id: str) -> "RecoveryAnswer":
        """Start no further tasks, permanently."""
        return self._recovery("POST", user_id, recovery_id, "/cancel")

    def undo_recovery(self, user_id: str, recovery_id: str) -> "UndoAnswer":
        """Restore what the items had before a recovery regenerated them; see `recovery_tasks` for each task.

        Raises:
            ApiRefusedError: the recovery has not ended, or has regenerated nothing (409).
            ApiUnavailableError: the same request continues later.
        """
        from .recovery_undo import UndoAnswer

        path = f"/recoveries/{quote(recovery_id, safe='')}/undo"
        while not (answer := self._read("POST", path, user_id, UndoAnswer)).complete:
            pass  # each request has a time limit, and continues
        return answer

    def _recovery(self, method: str, user_id: str, recovery_id: str, action: str = "") -> "RecoveryAnswer":
        from .recovery_list import RecoveryAnswer

        path = f"/recoveries/{quote(recovery_id, safe='')}{action}"
        return self._read(method, path, user_id, RecoveryAnswer)

    def _read(
        self, method: str, path: str, user_id: str, model: type[PayloadT], body: object = None
    ) -> PayloadT:
        return model.model_validate(self._request(method, path, user_id, {}, body).body)

    def _pages(
        self, path: str, user_id: str, page: type[PayloadT], query: Mapping[str, str | Sequence[str]]
    ) -> Iterator[PayloadT]:
        cursor: dict[str, str] = {}
        while True:
            answer = self._request("GET", path, user_id, {**query, **cursor}).body
            yield page.model_validate(answer)
            if answer["next_cursor"] is None:
                return
            cursor = {"cursor": answer["next_cursor"]}

    def _call(self, method: str, task_id: str, action: str, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        return self._send(method, task_id, action, query).body

    def _send(self, method: str, task_id: str, action: str, query: Mapping[str, str]) -> HttpAnswer:
        return self._request(method, f"/tasks/{quote(task_id, safe='')}{action}", query["user_id"], query)

    def _request(
        self,
        method: str,
        path: str,
        user_id: str,
        query: Mapping[str, str | Sequence[str]],
        body: object = None,
    ) -> HttpAnswer:
        # Without a user, the API finds a task of the caller, or of any user if the caller sees all.
        given = {name: value for name, value in query.items() if (name, value) != ("user_id", "")}
        url = f"{self._api_url}/api/v1{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        document = None if body is None else json.dumps(body).encode()
        answer = send(method, url, self._token(user_id), document)
        if answer.status < 300:
            return answer
        refusal = answer.body if isinstance(answer.body, dict) else {}
        error, message = str(refusal.get("error", "HttpError")), str(refusal.get("message", ""))
        if answer.status >= 500 or answer.status == 429:
            raise ApiUnavailableError(f"{answer.status} {error}: {message}")
        raise ApiRefusedError(answer.status, error, message)


def _retry_query(
    user_id: str, concept_id: str | None, content_type: ContentType | str | None, *, regenerate: bool
) -> dict[str, str]:
    """The parameters that a retry and its preview share."""
    query = {"user_id": user_id}
    if concept_id is not None:
        query["concept_id"] = concept_id
    if content_type is not None:
        query["content_type"] = content_type
    if regenerate:
        query["regenerate"] = "true"
    return query


def _recovery_request(
    task_filter: Mapping[str, Any],
    reason: str,
    regenerate: Mapping[str, Any] | None,
    limits: Mapping[str, int],
) -> dict[str, Any]:
    """The request that creates a recovery."""
    body = {"filter": dict(task_filter), "reason": reason, **limits}
    return body if regenerate is None else body | {"regenerate": dict(regenerate)}


def send(method: str, url: str, token: str, body: bytes | None = None) -> HttpAnswer:
    """Send a request with a bearer token.

    Raises:
        ApiUnavailableError: there was no response.
    """
    request = urllib.request.Request(url, method=method, data=body)  # noqa: S310 - the deployment's own URL
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        try:
            response = urllib.request.urlopen(request, timeout=60)  # noqa: S310
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read()
    except (OSError, HTTPException) as error:
        raise ApiUnavailableError(f"{method} {url}: {error!r}") from error
    answer = json.loads(text) if response.status < 300 or text.startswith(b"{") else text.decode()
    return HttpAnswer(response.status, answer, _lower(response.headers))


def _lower(headers: Message) -> dict[str, str]:
    """Headers by name. A proxy may change the case of names."""
    return {name.lower(): value for name, value in headers.items()}


__all__ = ["ApiRefusedError", "ApiUnavailableError", "Client", "ContentError", "ContentType"]
