"""Migrate the database schema from inside the VPC: on request, or as a custom resource, so that
CloudFormation migrates it before any function is updated.

A custom resource responds with a PUT to a URL. Without a response, a deployment waits until its timeout. So
every failure is reported as well: the deployment is rolled back, and its events show the reason.
"""

import hashlib
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from pydantic import Field
from sqlalchemy import Connection, text

from migrations import (
    MigrationRunningError,
    UnknownTimeZoneError,
    current_revision,
    is_newer_than_this_code,
    migrate_at_once,
    use_time_zone,
)
from migrations.installation import restore
from migrations.privileges import RolesIncompleteError, grant_access, require_session_limits
from migrations.rehearsal import insert_trial

from ...contracts.errors import PermanentError
from ...contracts.payloads import Payload, parse
from ...platform.postgres.engine import session_limits
from ...platform.postgres.transactions import RESERVE, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.settings import Settings
from ...state.services import Services
from ...state.tasks.time_zone import contradicts, describe_offset, time_ahead
from ...state.visibility import ROWS_HIDDEN, find_hidden
from .rehearsal import NotRehearsedError, rehearse

T = TypeVar("T")
P = ParamSpec("P")

_SEND_SECONDS = 10.0
_LONGEST_REASON = 1_000


class MigrationRefusedError(PermanentError, code="MigrationRefused"):
    """Another migration is running, or the time zone or the roles do not fit."""


class MigrateRequest(Payload):
    """`trial`: insert a roadmap in place of the migration, for `make first-day`, which erases it."""

    dry_run: bool = False
    trial: str | None = Field(None, pattern=r"^first-day-[0-9a-f]{12}$")


class MigrateResult(Payload):
    """The schema's revision before and after; with `dry_run`, the revision that it would have after."""

    before: str | None
    after: str | None
    dry_run: bool


def migrate_database(request: MigrateRequest, services: Services, deadline: Deadline) -> MigrateResult:
    """Migrate in one transaction.

    A schema that is up to date is not changed, but what the product has removed of ours is restored, the
    rights are granted, and the release is rehearsed. A newer one, after a rollback, gets the rights only.

    Raises:
        MigrationRefusedError: another migration is running, rows contradict the time zone, the two roles
            cannot be granted their rights, or row level security hides rows from a role.
        CannotAdoptError: the product's schema needs a manual decision.
        RehearsalFailedError: this release does not save valid content; nothing was changed.
        DataRefusedError, DatabaseUnavailableError: nothing was changed.
    """
    try:
        if request.trial is None:
            result = transact_at_length(services, deadline, _migrate, services.settings, request.dry_run)
        else:
            result = transact_at_length(services, deadline, _insert_trial, request.trial)
    except (MigrationRunningError, UnknownTimeZoneError, RolesIncompleteError) as error:
        raise MigrationRefusedError(str(error)) from error
    logger.info("database_migrated", **result.model_dump())
    return result


def transact_at_length(
    services: Services,
    deadline: Deadline,
    work: Callable[Concatenate[Connection, P], T],
    *arguments: P.args,
    **named: P.kwargs,
) -> T:
    """As `transact`, with a connection of its own whose statements may take all the time that is left: the
    limits of other sessions, and those that a role or a database may have, are too short for a migration.
    """
    seconds = max(1, int(deadline.remaining - RESERVE))

    def work_at_length(connection: Connection) -> T:
        # SET LOCAL also works behind RDS Proxy, which refuses session options at connect time.
        connection.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{seconds}s'"))
        return work(connection, *arguments, **named)

    # The engine's socket timeout must not be shorter than the statement timeout.
    engine = services.open_engine(statement_timeout=seconds)
    try:
        return transact(engine, work_at_length, deadline)
    finally:
        engine.dispose()


def _insert_trial(connection: Connection, trial: str) -> MigrateResult:
    """Insert a roadmap and a task with this id, and migrate nothing."""
    insert_trial(connection, trial)
    revision = current_revision(connection)
    return MigrateResult(before=revision, after=revision, dry_run=False)


def _migrate(connection: Connection, settings: Settings, dry_run: bool) -> MigrateResult:
    """Migrate, restore objects of ours that the product has removed, grant the rights, and rehearse
    as the roles that have them now.
    """
    before = current_revision(connection)
    writer, reader = settings.writer_role, settings.reader_role
    hidden = [one for one in find_hidden(connection, writer, reader) if one.kind == ROWS_HIDDEN]
    if hidden:  # otherwise, the first statement that reads the table would fail without its name
        raise MigrationRefusedError("; ".join(f"{one.object}: {one.message}" for one in hidden))
    if is_newer_than_this_code(before):
        logger.warning("schema_is_newer", revision=before)
    else:
        migrate_at_once(connection)
        restore(connection)
        zone = settings.database_time_zone
        use_time_zone(connection, zone)
        # Only at the adoption: later, a wrong clock of the product must not stop a deployment.
        if before is None and contradicts(ahead := time_ahead(connection)):
            raise MigrationRefusedError(
                f"the newest tasks were created {describe_offset(ahead)} hours in the future of the time "
                f"zone {zone}: the product writes another one (DatabaseTimeZone)"
            )
    grant_access(connection, writer, reader)
    if not is_newer_than_this_code(before):
        _require_rehearsal(connection, settings, is_adoption=before is None)
    if settings.database_session == "role":
        for role in (writer, reader):
            require_session_limits(connection, role, session_limits())
    result = MigrateResult(before=before, after=current_revision(connection), dry_run=dry_run)
    if dry_run:
        connection.rollback()
    return result


class RehearsalFailedError(PermanentError, code="RehearsalFailed"):
    """This release does not save valid content. The message contains the content type and the reason."""


def _require_rehearsal(connection: Connection, settings: Settings, *, is_adoption: bool) -> None:
    """Rehearse the release. A release that refuses every content raises no error of Lambda, and at few runs
    an hour a canary sees nothing. The migration is the first code of a release that a deployment runs, and
    refuses it here; an adoption also refuses a database in which anything else of ours fails. Later, what
    else fails (a replacement, a read) is only logged: a change of the product must not stop the deployment of
    a correction. If the rules of the product refuse every roadmap, nothing is rehearsed: that is no fault of
    the release.
    Raises RehearsalFailedError: the contract, the statement, the schema or a right refuses it.
    """
    try:
        refusals = rehearse(connection, settings.writer_role, settings.reader_role)
    except NotRehearsedError as error:
        logger.warning("release_not_rehearsed", reason=str(error))
        return
    for play, saves, reason, shows_nothing in refusals:
        logger.error("rehearsal_failed", play=play, reason=reason)
        if not shows_nothing and (is_adoption or saves):
            verb = f"saves no {saves}" if saves else f"fails: {play}"
            raise RehearsalFailedError(f"this release {verb}: {reason}")


class StaleReleaseError(PermanentError, code="StaleRelease"):
    """Parameters were changed without a new release, so the change would not reach the functions' aliases."""


class SchemaProperties(Payload):
    """The properties of the resource in the template."""

    release: str = Field(alias="Release")
    settings: list[Any] = Field(alias="Settings")
    """The values of the parameters in the versions of functions."""

    @property
    def identity(self) -> str:
        """The physical id of the resource: contains the release and a digest of its settings."""
        digest = hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:16]
        return f"schema-{self.release}-{digest}"


class SchemaRequest(Payload):
    """The request of CloudFormation for the custom resource."""

    request_type: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    response_url: str = Field(alias="ResponseURL")
    stack_id: str = Field(alias="StackId")
    request_id: str = Field(alias="RequestId")
    logical_id: str = Field(alias="LogicalResourceId")
    physical_id: str | None = Field(None, alias="PhysicalResourceId")
    properties: SchemaProperties = Field(alias="ResourceProperties")


def answer_cloudformation(event: Mapping[str, Any], migrate: Callable[[], str | None]) -> dict[str, Any]:
    """Handle a request and send the response. `migrate` returns the revision of the schema.

    Deleting the stack keeps the schema and its rows. In a rollback, CloudFormation requests an update to the
    previous properties. That release is not stale, because the physical id is still that of those properties.
    """
    request = parse(SchemaRequest, event)
    answer: dict[str, Any] = {
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_id,
        "PhysicalResourceId": request.physical_id or request.properties.identity,
    }
    try:
        if request.request_type != "Delete":
            require_new_release(request.physical_id, request.properties)
            answer["Data"] = {"Revision": migrate() or ""}
            answer["PhysicalResourceId"] = request.properties.identity
        answer["Status"] = "SUCCESS"
    except Exception as error:  # noqa: BLE001 - the deployment needs a response after every error
        logger.exception("schema_not_migrated")
        reason = f"{type(error).__name__}: {error}"
        answer |= {"Status": "FAILED", "Reason": reason[:_LONGEST_REASON]}
    _send(request.response_url, answer)
    return answer


def require_new_release(deployed: str | None, properties: SchemaProperties) -> None:
    """Refuse settings that differ from those with which the same release was deployed.

    Args:
        deployed: the physical id of the deployed resource; `None` in a new stack.

    Raises:
        StaleReleaseError: the settings differ.
    """
    release, _, _ = (deployed or "").rpartition("-")
    if release == f"schema-{properties.release}" and deployed != properties.identity:
        raise StaleReleaseError(
            f"parameters have changed, and the release is still {properties.release!r}: functions would keep "
            "the old values; deploy with `make deploy`"
        )


def _send(url: str, answer: Mapping[str, Any]) -> None:
    """Send the response, again after an error, for some time."""
    body = json.dumps(answer).encode()
    # CloudFormation's URL is signed for a request without a content type.
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310
    deadline = Deadline.after(3 * _SEND_SECONDS)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=_SEND_SECONDS):  # noqa: S310 - CloudFormation's URL
                return
        except OSError:
            logger.exception("cloudformation_not_answered")
            if deadline.remaining < 0:
                raise
            time.sleep(_SEND_SECONDS / 10)  # a refused connection fails at once
