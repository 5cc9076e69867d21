"""Execute our own statements as our own roles, in one transaction that is undone, and report what the
database refuses. A migration rehearses its release so, and `roadmap doctor --product-migration` a migration
of the product. Not rehearsed: S3, the model, and the permissions of functions.

A play is a piece of our code with its statements, in a savepoint of its own: the save of an item, a read. The
stage is the transaction, with a trial roadmap and task.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from migrations.rehearsal import copy_trial, insert_trial

from ...content.generation.generator import GenerationRequest
from ...content.generation.offline import OfflineGenerator
from ...content.kind import ContentKind, save_parameters, with_origin
from ...content.registry import CONTENT_KINDS
from ...content.roadmaps.framework import Concept
from ...content.rows import current_revisions
from ...contracts.errors import DatabaseUnavailableError, PermanentError, named
from ...contracts.items import ContentType, Item
from ...contracts.payloads import Origin
from ...platform.postgres.sqlstate import FOREIGN_KEY_VIOLATION
from ...platform.postgres.transactions import DataRefusedError, sqlstate_and_reason
from ...state.tasks.task import read_snapshot, read_task
from ...state.visibility import GUARD

# Until the transaction or the savepoint ends; `row_security` as in a new session.
SET_ROLE = text("SELECT set_config('role', :role, true), set_config('row_security', 'on', true)")


class Refusal(NamedTuple):
    """A play that failed, and the database's reason."""

    play: str
    saves: ContentType | None
    """The content type, if the play was the save of an item."""

    reason: str
    shows_nothing: bool
    """The database did not answer, for instance because of a lock; or a foreign key of the product does not
    know an id of the trial.
    """


class NotRehearsedError(Exception):
    """The product's rules refuse a roadmap and a task for the rehearsal."""


class NoMemberError(PermanentError, code="NoMember"):
    """The present role may not act as another one."""


@dataclass
class Stage:
    """The connection of a rehearsal, and a roadmap and a task with one id."""

    connection: Connection
    trial: str
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def concept(self) -> Concept:
        """The only concept of the roadmap."""
        return Concept(f"{self.trial}:c-1-1-1", "Rehearsal", "Whether this release saves content.")

    def play(
        self,
        name: str,
        role: str,
        work: "Callable[[Stage], object]",
        saves: ContentType | None = None,
    ) -> bool:
        """Whether the work succeeds as a role. If not, it is undone, and its reason is kept. `saves`: the
        content type of an item that it saves.
        """
        nested = self.connection.begin_nested()
        try:
            set_role(self.connection, role)
            work(self)
            set_role(self.connection, "none")
        except Exception as error:  # noqa: BLE001 - a changed table may also break our own code
            nested.rollback()  # also of the role
            self.refusals.append(Refusal(name, saves, *_reason(error)))
            return False
        nested.commit()
        return True


def set_role(connection: Connection, role: str, *, is_ours: bool = True) -> None:
    """Act as a role, with the guard of our transactions, until the transaction or its savepoint ends.
    Raises NoMemberError: this role may not. The savepoint must be undone.
    """
    try:
        connection.execute(SET_ROLE, {"role": role})
    except DBAPIError:
        raise NoMemberError(f"it may not be rehearsed as {role}: GRANT {role} TO the migrator") from None
    if is_ours:
        connection.execute(text(GUARD))


def rehearse(
    connection: Connection,
    writer: str,
    reader: str,
    encore: Callable[[Stage], None] = lambda _: None,
) -> list[Refusal]:
    """Play saves and reads on a trial roadmap, which the present role inserts; undo everything; return the
    plays that failed. `encore` plays more, for which the function of migrations has no permissions.

    Raises:
        NotRehearsedError: the product refuses the roadmap, and has none that could be copied.
    """
    stage = Stage(connection, f"rehearsal-{uuid4()}")
    with connection.begin_nested() as everything:
        try:
            _insert(connection, stage.trial)
            for kind in CONTENT_KINDS.values():
                name = kind.content_type
                if stage.play(f"save of {name}", writer, partial(_save, kind, 1), saves=name):
                    stage.play(f"replacement of {name}", writer, partial(_save, kind, 2))
            stage.play("read", reader, _read)
            encore(stage)
        finally:
            everything.rollback()
    return stage.refusals


def _insert(connection: Connection, trial: str) -> None:
    """Insert the trial roadmap and task, or copies of the product's rows if its rules refuse these.
    Raises NotRehearsedError: they refuse the copies, too.
    """
    reasons = []
    for insert in (insert_trial, copy_trial):
        try:
            with connection.begin_nested():
                return insert(connection, trial)
        except DBAPIError as error:
            reasons.append(sqlstate_and_reason(error)[1])
    raise NotRehearsedError("; ".join(dict.fromkeys(reasons)))


def _reason(error: Exception) -> tuple[str, bool]:
    """`reason` and `shows_nothing` of a failed play: the database's reason, or the code and text of an error
    of our own.
    """
    if isinstance(error, DBAPIError):
        error = DataRefusedError(*sqlstate_and_reason(error))
    if isinstance(error, DataRefusedError):
        return str(error), error.sqlstate == FOREIGN_KEY_VIOLATION
    known = named(error)
    return f"{known.code}: {known}", isinstance(known, DatabaseUnavailableError)


class _RowRefusedError(PermanentError, code="RowRefused"):
    """A save statement returned its row as refused."""


def _save(kind: ContentKind, version: int, stage: Stage) -> None:
    """Save a valid item, or replace it, as Save does; rules of the product for the COMMIT are checked at
    once.
    """
    item = Item(stage.concept.concept_id, kind.content_type)
    stage.connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    draft = OfflineGenerator().generate(GenerationRequest(stage.concept, kind.content_type))
    document = {kind.id_field: str(uuid4())} | draft | kind.complete(draft, version)
    content = kind.parse(json.dumps(document).encode())
    row = kind.to_row(stage.trial, item.concept_id, content)
    row = with_origin(row, Origin(generator="offline"), stage.trial, 1, "")
    if replaced := current_revisions(stage.connection, stage.trial, [item]):
        row["replaces"] = replaced[item]
    parameters = save_parameters(stage.trial, [row])
    if unwritten := stage.connection.execute(text(kind.sql.save), parameters).all():
        raise _RowRefusedError("; ".join(each.row_status for each in unwritten))


def _read(stage: Stage) -> None:
    """Read the task with its items, as a retry does."""
    read_snapshot(stage.connection, read_task(stage.connection, stage.trial))
