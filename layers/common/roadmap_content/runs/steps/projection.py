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

    The caller must have locked the roadmap before reading the rows. If the product's table refuses the rows,
    `framework_data` is still written.
    """
    changed = []
    projected = framework.project(rows)
    if projected is not None:
        write_framework(connection, roadmap_id, projected)
        logger.info("framework_data_updated", roadmap_id=roadmap_id)
        changed.append("framework_data")
    if not has_concept_metadata(connection):
        return changed
    try:
        with connection.begin_nested():
            concepts = project_concept_metadata(connection, roadmap_id, framework.nodes, rows)
    except DBAPIError as error:
        sqlstate, message = diagnose(error)
        if is_transient(sqlstate):
            raise
        logger.error("concept_metadata_refused", roadmap_id=roadmap_id, sqlstate=sqlstate, reason=message)
        return changed
    logger.info("concept_metadata_updated", roadmap_id=roadmap_id, concepts=concepts)
    return [*changed, "concept_metadata"] if concepts else changed
