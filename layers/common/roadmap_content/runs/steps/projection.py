"""Write the projections of a roadmap's rows: `framework_data` and `concept_metadata`."""

from collections.abc import Mapping

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ...content.kind import Row
from ...content.product import has_concept_metadata, project_concept_metadata
from ...content.roadmaps.framework import Framework
from ...content.roadmaps.metadata import write_framework
from ...contracts.items import ContentType
from ...platform.postgres.sqlstate import is_transient
from ...platform.postgres.transactions import diagnose
from ...platform.runtime.log import logger


def project_rows(
    connection: Connection,
    roadmap_id: str,
    framework: Framework,
    rows: Mapping[ContentType, Mapping[str, Row]],
) -> list[str]:
    """Write the differences from the current rows; return the names of the changed projections.

    The caller must have locked the roadmap before reading the rows.
    """
    changed = []
    projected = framework.project(rows)
    if projected is not None:
        write_framework(connection, roadmap_id, projected)
        logger.info("framework_data_updated", roadmap_id=roadmap_id)
        changed.append("framework_data")
    if _project_concept_metadata(connection, roadmap_id, framework, rows):
        changed.append("concept_metadata")
    return changed


def _project_concept_metadata(
    connection: Connection,
    roadmap_id: str,
    framework: Framework,
    rows: Mapping[ContentType, Mapping[str, Row]],
) -> bool:
    """Project the product's table, if it exists. If it refuses the rows, the other projections are still
    written.
    """
    if not has_concept_metadata(connection):
        return False
    try:
        with connection.begin_nested():
            changed = project_concept_metadata(connection, roadmap_id, framework.nodes, rows)
    except DBAPIError as error:
        sqlstate, message = diagnose(error)
        if is_transient(sqlstate):
            raise
        logger.error("concept_metadata_refused", roadmap_id=roadmap_id, sqlstate=sqlstate, reason=message)
        return False
    logger.info("concept_metadata_updated", roadmap_id=roadmap_id, concepts=changed)
    return changed > 0
