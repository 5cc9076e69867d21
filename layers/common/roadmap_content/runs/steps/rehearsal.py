"""Rehearse a release before any function runs it: save an item of each content type, and roll it back.

A release that refuses every content raises no error of Lambda, and at few runs an hour a canary sees nothing.
The migration is the first code of a release that a deployment runs, and refuses it here. Not rehearsed: S3,
the model, and the permissions of functions.
"""

import json
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from migrations.rehearsal import insert_roadmap

from ...content.generation.offline import OfflineGenerator
from ...content.kind import ContentKind, save_parameters
from ...content.origins import with_origin
from ...content.registry import CONTENT_KINDS
from ...content.roadmaps.framework import Concept
from ...contracts.errors import ContentError, PermanentError
from ...contracts.origin import Origin
from ...platform.postgres.partial_save import save_in_parts
from ...platform.postgres.transactions import diagnose
from ...platform.runtime.log import logger


class RehearsalFailedError(PermanentError, code="RehearsalFailed"):
    """This release does not save valid content. The message contains the content type and the reason."""


def rehearse(connection: Connection) -> None:
    """Save an item of each content type of a roadmap of its own, in a savepoint that is always rolled back.

    If the rules of the product refuse such a roadmap, nothing is rehearsed: that is no fault of the release.

    Raises:
        RehearsalFailedError: the contract, the statement or the schema refuses an item.
    """
    roadmap_id = f"rehearsal-{uuid4()}"
    savepoint = connection.begin_nested()
    try:
        insert_roadmap(connection, roadmap_id)
    except DBAPIError as error:
        savepoint.rollback()
        logger.warning("release_not_rehearsed", reason=diagnose(error)[1])
        return
    try:
        for kind in CONTENT_KINDS.values():
            if reason := _refusal(connection, kind, roadmap_id):
                raise RehearsalFailedError(f"this release saves no {kind.content_type}: {reason}")
    finally:
        savepoint.rollback()


def _refusal(connection: Connection, kind: ContentKind, roadmap_id: str) -> str | None:
    """Why a valid item is not saved; `None` if it is."""
    concept = Concept(f"{roadmap_id}:c-1-1-1", "Rehearsal", "Whether this release saves content.")
    draft = OfflineGenerator().generate(concept, kind.content_type).model_dump(mode="json")
    document = {kind.id_field: str(uuid4())} | draft | kind.complete(draft, 1)
    try:
        content = kind.parse(json.dumps(document).encode())
    except ContentError as error:
        return f"{error.code}: {error}"
    row = kind.to_row(roadmap_id, concept.concept_id, content)
    row = with_origin(row, Origin(generator="offline"), roadmap_id, 1, "")
    outcome = save_in_parts(connection, kind.save_sql, [save_parameters(roadmap_id, [row])])
    refusals = [status for _, status in outcome.refusals] + [str(error) for error in outcome.refused.values()]
    return "; ".join(refusals) or None
