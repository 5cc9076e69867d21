"""The REST API of tasks and their contents: reads, retry, cancel and restore; lists of failures; health."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from roadmap_content.api.cancel import cancel_task
from roadmap_content.api.entity_tags import is_known
from roadmap_content.api.health import answer_health, describe_activity
from roadmap_content.api.history import list_attempts, list_changes
from roadmap_content.api.http import Api, answered, respond
from roadmap_content.api.items import read_item_map, read_one_item
from roadmap_content.api.parameters import (
    After,
    Checkpoint,
    ConceptId,
    Cursor,
    ErrorCode,
    Exact,
    FailingGroup,
    FailingType,
    ItemType,
    Limit,
    MaxConcepts,
    OnlyConcept,
    Prefix,
    Reason,
    Regenerate,
    Revision,
    Statuses,
    TakeOver,
    TaskId,
    Time,
    UserId,
    Version,
    exact_id,
    with_change,
)
from roadmap_content.api.preview import preview_retry
from roadmap_content.api.restores import Author, Restore
from roadmap_content.api.revisions import list_revisions, read_content, read_origin_counts
from roadmap_content.api.source import read_task_source
from roadmap_content.api.status import read_detail
from roadmap_content.api.task_list import list_tasks
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.capabilities.failure_groups.routes import add_failure_list
from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.api.items import (
    DEFAULT_CONCEPTS,
    ItemDetail,
    ItemMap,
    OriginCounts,
    RestoreAnswer,
    Revisions,
    SavedItem,
)
from roadmap_content.contracts.api.system import Activity, Health, Identity
from roadmap_content.contracts.api.tasks import (
    AttemptPage,
    CancelAnswer,
    ChangePage,
    ChangeRequest,
    RetryPreview,
    TaskDetail,
    TaskPage,
    TaskSource,
)
from roadmap_content.contracts.errors import InvalidRequestError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.states import Cause
from roadmap_content.platform.aws.clients import preload_for_snapstart
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import AttemptStart
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope

preload_for_snapstart()
api = Api(Services(capabilities=EVERY))
app = api.app


@app.get(
    "/api/v1/me",
    operation_id="get_me",
    tags=["caller"],
    summary="Get the caller's identity and roles",
    responses=answered(Identity, "The caller's identity"),
)
def get_me() -> Identity:
    """Return the caller's identity and permissions."""
    return api.caller.identity


@app.get(
    "/api/v1/tasks",
    operation_id="list_tasks",
    tags=["tasks"],
    summary="List tasks",
    responses=answered(TaskPage, "A page of tasks, newest first", 422, 503),
)
def get_tasks(
    status: Statuses = None,
    error_code: ErrorCode = None,
    content_type: FailingType = None,
    user_id: UserId = None,
    updated_after: Time = None,
    updated_before: Time = None,
    q: Prefix = None,
    group_id: FailingGroup = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> TaskPage:
    """List tasks, filtered and newest first."""
    chosen = api.caller.filter(
        user_id,
        status=status,
        error_code=error_code,
        content_type=content_type,
        updated_after=updated_after,
        updated_before=updated_before,
        q=q,
        group_id=group_id,
    )
    return api.read(list_tasks, api.services.capabilities, chosen, cursor, limit)


@app.get(
    "/api/v1/tasks/<task_id>",
    operation_id="get_task",
    tags=["tasks"],
    summary="Get a task's status",
    responses=answered(TaskDetail, "The task's status", 404, 422, 503),
)
def get_task(task_id: TaskId, user_id: UserId = None) -> TaskDetail:
    """Return the status of a task, with saved and missing items computed from the content tables."""
    caller, user = api.caller, api.caller.reads_for(user_id)
    return api.read(read_detail, api.services, task_id, user, caller)


@app.get(
    "/api/v1/tasks/<task_id>/items",
    operation_id="list_items",
    tags=["tasks"],
    summary="Get the state of every item",
    responses=answered(ItemMap, "One letter per item, in framework order", 404, 409, 422, 503),
)
def get_items(
    task_id: TaskId,
    user_id: UserId = None,
    cursor: Cursor = None,
    limit: MaxConcepts = DEFAULT_CONCEPTS,
    states_only: Annotated[bool, Query(description="Omit stages and names, for polling.")] = False,
) -> ItemMap:
    """List the items of a page of concepts.

    `states` has a letter for each content type of each concept, in framework order and in the order of types.
    `S` is saved, `T` staged (saved by the next attempt), `G` being generated or waiting in the running
    attempt, `M` missing, `F` failed in the last attempt that was for it, and `R` failed because its content
    was rejected. `reason_of` has `[index in states, index in reasons]` for each failure.
    """
    user = api.caller.reads_for(user_id)
    return read_item_map(
        api.services, task_id, user, cursor, limit, api.deadline, with_stages=not states_only
    )


@app.get(
    "/api/v1/tasks/<task_id>/items/<content_type>",
    operation_id="get_item",
    tags=["tasks"],
    summary="Get one item",
    responses=answered(ItemDetail, "The item, its failures and its content", 404, 409, 422, 503),
)
def get_item(
    task_id: TaskId, content_type: ItemType, concept_id: ConceptId, user_id: UserId = None
) -> ItemDetail:
    """Get one item with its failures per attempt and its staged, rejected and saved content."""
    user, item = api.caller.reads_for(user_id), Item(concept_id, content_type)
    return api.for_caller(read_one_item(api.services, task_id, user, item, api.deadline))


@app.get(
    "/api/v1/tasks/<task_id>/content/<content_type>",
    operation_id="get_content",
    tags=["content"],
    summary="Read an item's saved content",
    responses=answered(SavedItem, "The content, with an ETag", 404, 422, 503)
    | {304: {"description": "If-None-Match names the content's ETag"}},
)
def get_content(
    task_id: TaskId,
    content_type: ItemType,
    concept_id: ConceptId,
    version: Version = None,
    revision_id: Revision = None,
    user_id: UserId = None,
) -> Response[Any]:
    """Read a tutorial, a list of resources or a quiz as soon as it is saved."""
    user, item = api.caller.reads_for(user_id), Item(concept_id, content_type)
    saved, etag = read_content(api.services, task_id, user, item, version, revision_id, api.deadline)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if is_known(etag, app.current_event.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return respond(200, saved, headers)


@app.get(
    "/api/v1/tasks/<task_id>/items/<content_type>/revisions",
    operation_id="list_revisions",
    tags=["content"],
    summary="List an item's revisions",
    responses=answered(Revisions, "The newest 100 revisions", 404, 422, 503),
)
def get_revisions(
    task_id: TaskId, content_type: ItemType, concept_id: ConceptId, user_id: UserId = None
) -> Revisions:
    """List the current and the former contents of an item. A former one was replaced by an attempt, by the
    product or by a restore.
    """
    user, item = api.caller.reads_for(user_id), Item(concept_id, content_type)
    return api.for_caller(list_revisions(api.services, task_id, user, item, api.deadline))


@app.post(
    "/api/v1/tasks/<task_id>/items/<content_type>/revisions/<revision_id>/restore",
    operation_id="restore_revision",
    tags=["content"],
    summary="Restore a revision",
    responses=answered(RestoreAnswer, "The item has the content of the revision", 404, 409, 422, 503),
)
def post_restore(
    task_id: TaskId,
    content_type: ItemType,
    revision_id: Annotated[str, Path(description="`revision_id` in the list of revisions; `-` for `exact`.")],
    concept_id: ConceptId,
    exact: Exact = None,
    user_id: UserId = None,
    reason: Reason = None,
) -> RestoreAnswer:
    """Make a former content of an item the current one again. A tutorial gets its next version; resources and
    a quiz keep their id. The replaced content is kept as a revision. Nothing is generated.
    """
    caller, revision = api.caller, exact_id(revision_id, exact)
    user, item = caller.changes_for(user_id), Item(concept_id, content_type)
    restore = Restore(api.services, item, revision, Author(caller.actor, reason))
    return restore.of_task(task_id, user, api.deadline)


@app.get(
    "/api/v1/tasks/<task_id>/changes",
    operation_id="list_changes",
    tags=["content"],
    summary="Follow a task",
    responses=answered(
        ChangePage, "Changes, oldest first; Retry-After is the pause before the next request", 404, 422, 503
    ),
)
def get_changes(
    task_id: TaskId, after: After = None, user_id: UserId = None, limit: Limit = 100
) -> Response[ChangePage]:
    """Read the later changes of a task: items saved and failed, attempts, cancellations."""
    user = api.caller.reads_for(user_id)
    page, pause = api.read(list_changes, task_id, user, after, limit)
    return respond(200, page, {"Retry-After": str(pause)})


@app.get(
    "/api/v1/tasks/<task_id>/source",
    operation_id="get_source",
    tags=["content"],
    summary="Read a task's request and framework",
    responses=answered(TaskSource, "The request, and a piece of the framework", 404, 409, 422, 503),
)
def get_source(task_id: TaskId, cursor: Cursor = None, user_id: UserId = None) -> TaskSource:
    """Read the data of an export besides the contents. A large framework is read in pieces. Requires the
    operator's scope; the log names the operator.
    """
    api.caller.require_operator()
    caller, user = api.caller, api.caller.reads_for(user_id)
    return api.read(read_task_source, caller, task_id, user, cursor)


@app.get(
    "/api/v1/tasks/<task_id>/attempts",
    operation_id="list_attempts",
    tags=["tasks"],
    summary="List a task's attempts",
    responses=answered(AttemptPage, "The audit trail, newest attempt first", 404, 422, 503),
)
def get_attempts(
    task_id: TaskId, user_id: UserId = None, cursor: Cursor = None, limit: Limit = 50
) -> AttemptPage:
    """List a task's attempts with their actors, causes and outcomes."""
    user = api.caller.reads_for(user_id)
    return api.for_caller(api.read(list_attempts, task_id, user, cursor, limit))


add_failure_list(api)


@app.get(
    "/api/v1/health",
    operation_id="get_health",
    tags=["health"],
    summary="Get the state of the system",
    responses=answered(Health, "The state of the system", 503),
)
def get_health() -> Health:
    """Return the health of the system. Requires the operator's or the viewer's scope."""
    api.caller.require_sight()
    return answer_health(api.services, api.deadline)


@app.get(
    "/api/v1/health/hours",
    operation_id="get_activity",
    tags=["health"],
    summary="Get the work of the last 24 hours",
    responses=answered(Activity, "The work of each hour", 503),
)
def get_activity() -> Activity:
    """Return the saved and failed items, the waiting attempts and the tokens of each hour. Requires the
    operator's or the viewer's scope.
    """
    api.caller.require_sight()
    return api.read(describe_activity)


@app.get(
    "/api/v1/origins",
    operation_id="count_origins",
    tags=["content"],
    summary="Count items per model and prompt",
    responses=answered(OriginCounts, "The counts per origin and content type", 503),
)
def get_origins() -> OriginCounts:
    """Count the current items, and the refused contents, of each generator, model and prompt. Requires the
    operator's or the viewer's scope.
    """
    api.caller.require_sight()
    return api.read(read_origin_counts)


@app.post(
    "/api/v1/tasks/<task_id>/retry",
    operation_id="retry_task",
    tags=["tasks"],
    summary="Retry a task's missing items",
    responses=answered(RetryAnswer | RetryPreview, "Nothing is missing; with dry_run, the preview")
    | answered(RetryAnswer, "An attempt has been started", 404, 409, 422, 503, status=202),
)
def post_retry(
    task_id: TaskId,
    user_id: UserId = None,
    force_checkpoint: Checkpoint = False,
    take_over: TakeOver = False,
    reason: Reason = None,
    concept_id: OnlyConcept = None,
    content_type: Annotated[ContentType | None, Query(description="Only items of this type.")] = None,
    regenerate: Regenerate = False,
    dry_run: Annotated[bool, Query(description="Return a preview of the retry. Nothing is started.")] = False,
    change: Annotated[ChangeRequest | None, Body()] = None,
) -> Response[Any]:
    """Start a new attempt for the items that are missing from the content tables.

    The attempt is for all missing items, or for those of a concept, of a content type, or of both. With
    `regenerate` and a body, saved contents are changed by the instruction.
    """
    caller = api.caller
    user = caller.changes_for(user_id)
    scope = with_change(Scope(concept_id, content_type, regenerate), change)
    if force_checkpoint and (take_over or scope != WHOLE_TASK):
        raise InvalidRequestError("force_checkpoint cannot be combined with take_over or a part of the items")
    if dry_run:
        modes = {"take_over": take_over, "force_checkpoint": force_checkpoint}
        return respond(200, preview_retry(api.services, task_id, user, api.deadline, scope, **modes))
    cause = Cause.CHECKPOINT if force_checkpoint else Cause.RETRY
    start = AttemptStart(caller.actor, cause, reason, scope, tenant=caller.queue_tenant)
    if force_checkpoint:
        answer = redrive_task(api.services, task_id, user, api.deadline, start)
    else:
        answer = retry_task(api.services, task_id, user, api.deadline, start, take_over=take_over)
    return respond(202 if answer.status == "processing" else 200, answer)


@app.post(
    "/api/v1/tasks/<task_id>/cancel",
    operation_id="cancel_task",
    tags=["tasks"],
    summary="Cancel a task",
    responses=answered(CancelAnswer, "The task, or its attempt, is cancelled", 404, 409, 422, 503),
)
def post_cancel(task_id: TaskId, user_id: UserId = None, reason: Reason = None) -> CancelAnswer:
    """Cancel a task and stop its execution. Staged content stays staged. A task that misses nothing is
    `completed`: only its attempt, which replaces saved items, is cancelled.
    """
    caller = api.caller
    return cancel_task(api.services, task_id, caller.changes_for(user_id), api.deadline, caller.actor, reason)


handler = api.handler
