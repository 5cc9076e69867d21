"""The means of several faults: the settings of a role, triggers, and sessions that end."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import staged_key
from tests.faults.matrix.declaration import Step
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import WRITES
from tests.support.http_proxy import Forward
from tests.support.http_server import Reply, Request

DENIED = Reply(403, b"<Error><Code>AccessDenied</Code></Error>")


def end_sessions(play: Play) -> None:
    """Terminate the step's sessions: role settings only apply to new sessions."""
    with play.rig.administering() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = :role"),
            {"role": play.line.role},
        )


@contextmanager
def role_with(play: Play, setting: str, undo: str) -> Iterator[None]:
    """Change the step's role for its next sessions."""
    role = f"ALTER ROLE {play.line.role}"
    with play.rig.administering() as connection:
        connection.execute(text(f"{role} {setting}"))
        end_sessions(play)
        try:
            yield
        finally:
            connection.execute(text(f"{role} {undo}"))
            end_sessions(play)


@contextmanager
def with_failures(play: Play) -> Iterator[None]:
    """Make one item fail, so that Generate has a failure to write to the database."""
    if play.cell.step is Step.GENERATE:
        item = Item(play.ids[1], ContentType.RESOURCES)
        key = f"/{staged_key(play.roadmap_id, item)}"

        def deny(request: Request, forward: Forward) -> Reply | None:
            if request.method != "PUT" or not request.path.endswith(key):
                return forward()
            play.log.unstaged[item] += 1  # The upload of the generated item to S3 fails, at every try.
            return DENIED

        play.line.s3.play(deny)
    try:
        yield
    finally:
        play.line.s3.play()


@contextmanager
def trigger(play: Play, body: str) -> Iterator[None]:
    """Create a trigger on the table that the step writes."""
    tables = WRITES[play.cell.step]
    with play.rig.administering() as connection:
        strike = f"BEGIN {body} RETURN NEW; END"
        connection.execute(
            text(f"CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ {strike} $$")
        )
        for table in tables:
            connection.execute(
                text(
                    f"CREATE TRIGGER strike BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW"
                    f" WHEN (current_user = '{play.line.role}') EXECUTE FUNCTION strike()"
                )
            )
        try:
            with with_failures(play):
                yield
        finally:
            connection.execute(text("DROP FUNCTION strike CASCADE"))


@contextmanager
def answering(play: Play, sqlstate: str) -> Iterator[None]:
    """Check that the server has answered with this SQLSTATE by the end."""
    yield
    assert sqlstate in play.line.database.errors, (
        f"{sqlstate} was never answered: {play.line.database.errors}"
    )
