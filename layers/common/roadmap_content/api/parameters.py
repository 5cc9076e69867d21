"""The parameters of the API's operations, with the descriptions that docs/openapi.json has."""

from datetime import datetime
from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from ..contracts.api.filters import LONGEST_PREFIX, TaskFilter
from ..contracts.api.items import MAX_CONCEPTS
from ..contracts.api.tasks import ChangeRequest
from ..contracts.errors import InvalidRequestError
from ..contracts.items import ContentType, Item
from ..contracts.payloads import NOT_IN_PATH, TASK_ID, USER_ID
from ..state.tasks.scope import Scope

TaskId = Annotated[str, Path(pattern=TASK_ID, description="The task.")]
UserId = Annotated[
    str | None,
    Query(
        pattern=USER_ID,
        description="A user. For an owner, the token's subject or nothing; an operator or a viewer may name "
        "another user, or leave it out for all.",
    ),
]
Exact = Annotated[
    str | None,
    Query(
        min_length=1,
        description=f"The id of the path: required if the path encodes it, or has `{NOT_IN_PATH}`.",
    ),
]
ItemType = Annotated[ContentType, Path(description="The content type of the item.")]
ConceptId = Annotated[str, Query(min_length=1, max_length=2000, description="The concept.")]
Reason = Annotated[str | None, Query(max_length=500, description="The reason, for the audit trail.")]

# A cursor may hold a task's id. API Gateway limits the address with the headers to 10,240 bytes.
Cursor = Annotated[str | None, Query(max_length=6000, description="`next_cursor` of the previous page.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Maximum rows of the page.")]
MaxConcepts = Annotated[int, Query(ge=1, le=MAX_CONCEPTS, description="Maximum concepts of the page.")]
After = Annotated[str | None, Query(max_length=1000, description="The cursor of the last change read.")]

_FILTER = {name: field.description for name, field in TaskFilter.model_fields.items()}
"""The descriptions of the conditions of a filter of tasks."""

Statuses = Annotated[list[str] | None, Query(max_length=20, description="One or more statuses.")]
ErrorCode = Annotated[str | None, Query(min_length=1, max_length=200, description=_FILTER["error_code"])]
FailingType = Annotated[ContentType | None, Query(description=_FILTER["content_type"])]
Time = Annotated[datetime | None, Query(description=_FILTER["updated_after"])]
Prefix = Annotated[str | None, Query(min_length=1, max_length=LONGEST_PREFIX, description=_FILTER["q"])]
FailingGroup = Annotated[str | None, Query(min_length=1, max_length=200, description=_FILTER["group_id"])]

Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="A tutorial's version; by default, the current one.")
]
Revision = Annotated[str | None, Query(min_length=1, max_length=200, description="The id of a revision.")]

OnlyConcept = Annotated[
    str | None, Query(min_length=1, max_length=2000, description="Only the items of this concept.")
]
Regenerate = Annotated[
    bool,
    Query(
        description="Also generate saved items again. A tutorial gets its next version; resources and a quiz "
        "are replaced when the new content is saved."
    ),
]
Checkpoint = Annotated[bool, Query(description="Redrive the last execution from the failed state, in turn.")]
TakeOver = Annotated[bool, Query(description="Start even if the product processes a task of the roadmap.")]


def exact_id(segment: str, exact: str | None) -> str:
    """The id that a segment of a path and `exact` name. A query is decoded exactly once; a path could be
    decoded before this, and an id with `%` would become another one.

    Raises:
        InvalidRequestError: the id is encoded, and not given again; or another one is.
    """
    if exact is None and ("%" in segment or segment == NOT_IN_PATH):
        raise InvalidRequestError("the path does not name the id exactly: give it as `exact`")
    if exact is not None and exact not in (segment, unquote(segment)) and segment != NOT_IN_PATH:
        raise InvalidRequestError("`exact` is not the id of the path")
    return segment if exact is None else exact


def with_change(scope: Scope, change: ChangeRequest | None) -> Scope:
    """The scope of a retry, with the change of saved contents that its body asks for, if it does.
    Raises InvalidRequestError: the body has a revision without an instruction, or an instruction without
    `regenerate`; or the revision is not that of one item, which `scope` must name.
    """
    if change is None or change == ChangeRequest():
        return scope
    if change.instruction is None:
        raise InvalidRequestError("revision names the content that an instruction changes: add one")
    if not scope.regenerate:
        raise InvalidRequestError("an instruction changes saved contents: add regenerate=true")
    if change.revision is None:
        return scope._replace(instruction=change.instruction)
    if scope.concept_id is None or scope.content_type is None:
        raise InvalidRequestError("revision is that of one item: name its concept_id and its content_type")
    revisions = {Item(scope.concept_id, scope.content_type): change.revision}
    return scope._replace(instruction=change.instruction, revisions=revisions)
