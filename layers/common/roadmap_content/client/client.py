"""A client: stage generated content, start a run, get a task's status, retry.

    client = Client.from_environment(token=my_token_for)
    client.stage("r-1", "c-1", "quiz", quiz)
    client.start("task-1")
    for change in client.changes("task-1", "user-1"):
        if change.type == "Item Saved":
            client.content("task-1", "user-1", change.data["concept_id"], change.data["content_type"])

`stage` needs `s3:PutObject` on the bucket's `staged/*`, `start` needs `states:StartExecution` on the state
machine; both need the extra `layer`. All others are HTTP requests with a user's token: that of the
named user, or of the client's own `user_id`.

These raise `ApiRefusedError` (the token is not valid, the user has no such task, its state does not permit
it) and `ApiUnavailableError` (the same request may succeed later).
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

from ..contracts.api.capacity import RetryAnswer
from ..contracts.api.filters import LONGEST_PREFIX
from ..contracts.api.items import ItemDetail, ItemMap, RestoreAnswer, Revision, Revisions, SavedItem
from ..contracts.api.tasks import (
    AttemptPage,
    AttemptRow,
    CancelAnswer,
    Change,
    ChangePage,
    RetryPreview,
    TaskDetail,
    TaskSource,
)
from ..contracts.errors import InvalidRequestError, MissingSettingError, RoadmapNotFoundError, requires_extra
from ..contracts.items import ContentType, Item
from ..contracts.payloads import NOT_IN_PATH, TASK_ID, PayloadT
from ..contracts.states import UNFINISHED
from .http import ApiRefusedError, ApiUnavailableError, HttpApi, QueryValue, Waiting, path_of, rows
from .system import SystemRequests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

BUCKET, STATE_MACHINE_ARN, API_URL = "ROADMAP_BUCKET", "ROADMAP_STATE_MACHINE_ARN", "ROADMAP_API_URL"
"""The environment variables of `Client.from_environment`; `roadmap env` prints them."""

UNAVAILABLE_SECONDS = 60
"""For how long `changes` repeats a request that the API does not answer."""

_REFUSED = frozenset(
    {"AccessDeniedException", "InvalidArn", "StateMachineDoesNotExist", "UnrecognizedClientException"}
)
"""Errors of StartExecution that a repetition would get again: a permission or a setting is wrong."""


class Client(SystemRequests):
    """A client of one deployment."""

    def __init__(
        self,
        *,
        api_url: str,
        token: Callable[[str], str],
        bucket: str = "",
        state_machine_arn: str = "",
        user_id: str | None = None,
        resend_seconds: float = 0,
        waiting: Waiting = nullcontext,
        s3: "S3Client | None" = None,
        stepfunctions: "SFNClient | None" = None,
    ) -> None:
        """Create a client; it connects on first use.

        `token` returns a token for the API for a given user. `user_id` is the user of requests that name
        none, for example an operator: they are about a task of that user or, if the token's scope permits
        it, of any user. A request that the API does not answer is sent again for `resend_seconds`, if sending
        it twice does no harm. `waiting` is entered for each request, with its method and path. `stage` needs
        `bucket`, `start` needs `state_machine_arn`.
        """
        self._api = HttpApi(api_url, token, user_id, resend_seconds, waiting)
        self._bucket = bucket
        self._state_machine_arn = state_machine_arn
        self._s3 = s3
        self._stepfunctions = stepfunctions
        self._roadmaps: set[str] = set()

    @classmethod
    def from_environment(cls, token: Callable[[str], str], environ: Mapping[str, str] = os.environ) -> Self:
        """Read the deployment's settings from the environment. Raises MissingSettingError: one is not set."""
        for name in (BUCKET, STATE_MACHINE_ARN, API_URL):
            if not environ.get(name):
                raise MissingSettingError(f'{name} is not set; on the local stack: eval "$(roadmap env)"')
        arn = environ[STATE_MACHINE_ARN]
        return cls(api_url=environ[API_URL], token=token, bucket=environ[BUCKET], state_machine_arn=arn)

    def stage(
        self,
        roadmap_id: str,
        concept_id: str,
        content_type: ContentType | str,
        content: dict[str, Any],
        *,
        replaces: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Validate and stage one item, so that the next run saves it. Staged content is replaced.

        With `replaces`, the id of the item's saved content (`item(…).saved.id`), the next
        `retry(..., regenerate=True)` saves the content in its place. The content needs a new id. With a user,
        the first content of a roadmap is followed by a request that looks for it: content under a wrong id
        would never be saved.

        Raises:
            InvalidRequestError: there is no such content type.
            InvalidContentError: the content does not match its schema (`docs/schemas/`).
            StorageUnavailableError: S3 could not store it.
            RoadmapNotFoundError: no task of the user is for this roadmap. The content is staged.
        """
        with requires_extra("layer", "`stage`"):
            import boto3  # noqa: F401 - the bucket imports it only when it connects
        from ..content.registry import CONTENT_KINDS
        from ..platform.storage.bucket import Bucket
        from ..platform.storage.staging import Staging

        if not self._bucket:
            raise MissingSettingError(f"stage needs the name of the bucket: {BUCKET}")
        item = Item(concept_id, _type(content_type))
        staging = Staging(
            Bucket(self._bucket, self._s3), roadmap_id, {} if replaces is None else {item: replaces}
        )
        staging.write(item, CONTENT_KINDS[item.content_type].check(content))
        if user_id is not None or self._api.user_id is not None:
            self._require_roadmap(roadmap_id, user_id)

    def _require_roadmap(self, roadmap_id: str, user_id: str | None) -> None:
        """Require that a task of the user is for this roadmap; one request for each roadmap."""
        if roadmap_id in self._roadmaps:
            return
        tasks = self.tasks(user_id, q=roadmap_id[:LONGEST_PREFIX], user_id=user_id)
        if all(task.roadmap_id != roadmap_id for task in tasks):
            raise RoadmapNotFoundError(f"no task is for a roadmap {roadmap_id!r}; the content is staged")
        self._roadmaps.add(roadmap_id)

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
        with requires_extra("layer", "`start`"):
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError

            from ..platform.aws.executions import Executions

        if not re.fullmatch(TASK_ID, task_id):
            raise InvalidRequestError(f"task_id {task_id!r}: an id has 1 to 64 letters, digits, - and _")
        if not self._state_machine_arn:
            raise MissingSettingError(f"start needs the state machine's ARN: {STATE_MACHINE_ARN}")
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

    def status(self, task_id: str, user_id: str | None = None) -> TaskDetail:
        """Get a task's status."""
        return self._task("GET", TaskDetail, user_id, task_id)

    def retry(
        self,
        task_id: str,
        user_id: str | None = None,
        *,
        concept_id: str | None = None,
        content_type: ContentType | str | None = None,
        regenerate: bool = False,
        take_over: bool = False,
        force_checkpoint: bool = False,
        reason: str | None = None,
        instruction: str | None = None,
        revision: str | None = None,
    ) -> RetryAnswer:
        """Retry a task's missing items: all, or those of a concept, of a content type, or of both. With
        `regenerate`, saved items of that part are generated again and replaced; with an `instruction`, they
        are changed as it says, and a single item only while its content has this `revision`. With
        `take_over`, a task that the product's own workers are processing is also retried. With
        `force_checkpoint`, the last execution is redriven instead. `reason` is written to the audit trail.
        Raises ApiRefusedError: an attempt is running (409), or the user has no such task.
        """
        return self._task(
            "POST",
            RetryAnswer,
            user_id,
            task_id,
            "retry",
            body={"instruction": instruction, "revision": revision},
            concept_id=concept_id,
            content_type=content_type,
            regenerate=regenerate,
            take_over=take_over,
            force_checkpoint=force_checkpoint,
            reason=reason,
        )

    def preview_retry(
        self,
        task_id: str,
        user_id: str | None = None,
        *,
        concept_id: str | None = None,
        content_type: ContentType | str | None = None,
        regenerate: bool = False,
        take_over: bool = False,
        force_checkpoint: bool = False,
        instruction: str | None = None,
        revision: str | None = None,
    ) -> RetryPreview:
        """Count the items that `retry` would save and generate, and estimate its tokens. Nothing is started.
        It is refused as the retry would be.
        """
        return self._task(
            "POST",
            RetryPreview,
            user_id,
            task_id,
            "retry",
            body={"instruction": instruction, "revision": revision},
            concept_id=concept_id,
            content_type=content_type,
            regenerate=regenerate,
            take_over=take_over,
            force_checkpoint=force_checkpoint,
            dry_run=True,
        )

    def cancel(self, task_id: str, user_id: str | None = None, *, reason: str | None = None) -> CancelAnswer:
        """Cancel a task and stop its run. Staged content stays staged.
        Raises ApiRefusedError: the task is completed (409), or the user has no such task.
        """
        return self._task("POST", CancelAnswer, user_id, task_id, "cancel", reason=reason)

    def content(
        self,
        task_id: str,
        user_id: str | None,
        concept_id: str,
        content_type: ContentType | str,
        *,
        version: int | None = None,
        revision_id: str | None = None,
    ) -> SavedItem:
        """Read an item's saved content: the current one, a version of a tutorial, or a revision.
        Raises ApiRefusedError: nothing is saved (404), or the user has no such task.
        """
        path = task_id, "content", _type(content_type)
        return self._task(
            "GET", SavedItem, user_id, *path, concept_id=concept_id, version=version, revision_id=revision_id
        )

    def source(self, task_id: str, user_id: str | None = None) -> Iterator[TaskSource]:
        """A task's request and roadmap, with the pieces of the text of its framework. Operators only."""
        path = path_of("tasks", task_id, "source")
        return self._api.pages(path, TaskSource, user_id, user_id=user_id)

    def changes(
        self, task_id: str, user_id: str | None = None, *, after: str | None = None
    ) -> Iterator[Change]:
        """Follow a task until it is over: each change once, in order, from the first one or from `after`.
        After a restore of the database from a backup, it begins again with the first change that is kept.

        Store the `cursor` of the last change, to continue there after a restart.

        Raises:
            ApiRefusedError: the user has no such task, or the cursor belongs to another one.
            ApiUnavailableError: the API has not responded for a minute. Continue with `after`.
        """
        path = path_of("tasks", task_id, "changes")
        while True:
            query = {"user_id": user_id, "after": after}
            answer = self._api.request("GET", path, user_id, query, resend_seconds=UNAVAILABLE_SECONDS)
            page = answer.parsed(ChangePage)
            for change in page.items:
                yield change
                after = change.cursor
            if not page.more and page.status not in UNFINISHED:
                return
            time.sleep(float(answer.headers["retry-after"]))

    def item(
        self, task_id: str, user_id: str | None, concept_id: str, content_type: ContentType | str
    ) -> ItemDetail:
        """Get one item with its failures, its staged, rejected and saved content, and its origin."""
        path = task_id, "items", _type(content_type)
        return self._task("GET", ItemDetail, user_id, *path, concept_id=concept_id)

    def items(
        self,
        task_id: str,
        user_id: str | None = None,
        *,
        states_only: bool = False,
        limit: int | None = None,
    ) -> Iterator[ItemMap]:
        """The states of all items, in pages of `limit` concepts. `docs/api.md` explains the letters."""
        path = path_of("tasks", task_id, "items")
        return self._api.pages(path, ItemMap, user_id, user_id=user_id, states_only=states_only, limit=limit)

    def revisions(
        self, task_id: str, user_id: str | None, concept_id: str, content_type: ContentType | str
    ) -> list[Revision]:
        """List the current and the former contents of an item."""
        path = task_id, "items", _type(content_type), "revisions"
        return self._task("GET", Revisions, user_id, *path, concept_id=concept_id).items

    def restore(
        self,
        task_id: str,
        user_id: str | None,
        concept_id: str,
        content_type: ContentType | str,
        revision_id: str,
        *,
        reason: str | None = None,
    ) -> RestoreAnswer:
        """Make a former content of an item the current one again.
        Raises ApiRefusedError: there is no such revision (404), or the database refused it (409).
        """
        path = task_id, "items", _type(content_type), "revisions", NOT_IN_PATH, "restore"
        query: dict[str, Any] = {"concept_id": concept_id, "exact": revision_id, "reason": reason}
        return self._task("POST", RestoreAnswer, user_id, *path, **query)

    def attempts(
        self, task_id: str, user_id: str | None = None, *, limit: int | None = None
    ) -> Iterator[AttemptRow]:
        """A task's attempts, the newest first, requested in pages of `limit`."""
        path = path_of("tasks", task_id, "attempts")
        return rows(self._api.pages(path, AttemptPage, user_id, user_id=user_id, limit=limit))

    def _task(
        self,
        method: str,
        model: type[PayloadT],
        user_id: str | None,
        /,
        *path: str,
        body: Mapping[str, Any] | None = None,
        **query: QueryValue,
    ) -> PayloadT:
        """Send a request about a user's task, with the user's token. `path` follows `tasks`, `query` are its
        parameters.
        """
        return self._api.call(method, path_of("tasks", *path), model, user_id, body, user_id=user_id, **query)


def _type(content_type: ContentType | str) -> ContentType:
    try:
        return ContentType(content_type)
    except ValueError:
        kinds = ", ".join(ContentType)
        raise InvalidRequestError(f"{content_type!r} is not a content type; there are {kinds}") from None
