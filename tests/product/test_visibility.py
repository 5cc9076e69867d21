"""Rows that our roles may not see are not missing: row level security, privileges, and lost content."""

import re
import socket
from functools import partial

import pytest
from sqlalchemy import make_url, text

from roadmap_content.api.health import HEALTH_SECONDS, answer_health
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.errors import RolesUnavailableError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.postgres.transactions import RESERVE, InsufficientPrivilegeError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.installation.migrate import MigrationRefusedError
from roadmap_content.runs.reconciliation.content_loss import SEVERAL, SweepHeldError
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from tests.product.deployment import Deployment, deployment
from tests.product.product import Product
from tests.product.running import deadline, heal, planned, retry
from tests.support.generators import FakeModel
from tests.support.machine_model import State

__all__ = ["deployment"]

CONTENT = ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata")
TABLES = (*CONTENT, "roadmap_metadata", "roadmap_tasks", "concept_metadata", "execution_logs")
TASKS = SEVERAL


def secure(product: Product, tables: tuple[str, ...], verb: str = "ENABLE") -> None:
    for table in tables:
        product.execute(f"ALTER TABLE {table} {verb} ROW LEVEL SECURITY")


def contents(product: Product) -> dict[str, list[str]]:
    return {table: rows for table, rows in product.everything().items() if table in CONTENT}


def fill(product: Product) -> None:
    """Tasks with a complete concept each, which the product calls failed."""
    for number in range(1, TASKS + 1):
        product.roadmap(f"r-{number}", [f"r-{number}:c"])
        product.task(f"t-{number}", "failed", roadmap_id=f"r-{number}")
        product.complete(f"r-{number}", f"r-{number}:c")


def finish(deployment: Deployment) -> None:
    """Adopt the product's tasks, and let our runs finish them: their quizzes are missing."""
    fill(deployment.product)
    deployment.product.execute("DELETE FROM quiz_metadata")
    deployment.migrate()
    for number in range(1, TASKS + 1):
        heal(deployment.services, f"t-{number}")
    deployment.sweep()


def test_a_time_zone_that_the_newest_rows_contradict_is_refused(deployment: Deployment) -> None:
    """The product writes Beijing time."""
    deployment.product.task("t-1", "failed", age="1 second")
    right = deployment.services.settings
    deployment.services.settings = Settings({**right.environ, "DATABASE_TIME_ZONE": "UTC"})
    with pytest.raises(MigrationRefusedError, match="08:00 hours in the future of the time zone UTC"):
        deployment.migrate()
    assert not deployment.product.has("content_attempts")
    deployment.services.settings = right
    deployment.migrate()
    assert deployment.product.has("content_attempts")


@pytest.mark.parametrize("is_forced", [False, True])
def test_row_level_security_before_adoption_is_refused_by_name(
    deployment: Deployment, *, is_forced: bool
) -> None:
    """If it is forced, it also holds for the tables' owner, and so for the migrator."""
    migrator, writer, reader = deployment.roles.names
    fill(deployment.product)
    secure(deployment.product, TABLES)
    if is_forced:
        secure(deployment.product, TABLES, "FORCE")
    before = deployment.product.everything()

    with pytest.raises(MigrationRefusedError) as refused:
        deployment.migrate()

    for name in (*TABLES, writer, reader, "BYPASSRLS"):
        assert name in str(refused.value)
    assert (migrator in str(refused.value)) == is_forced
    assert deployment.product.everything() == before
    for role in deployment.roles.names:
        deployment.product.execute(f"ALTER ROLE {role} BYPASSRLS")
    deployment.migrate()
    for number in range(1, TASKS + 1):
        heal(deployment.services, f"t-{number}")
    assert deployment.findings() == {}
    assert contents(deployment.product) == {table: before[table] for table in CONTENT}


@pytest.mark.parametrize(
    ("role", "change", "sentence"),
    [
        (
            "writer",
            "SET default_transaction_read_only = on",
            "write since .* 25006: the database is read-only",
        ),
        ("writer", "CONNECTION LIMIT 0", "write since .* 53300: the database has no free connection"),
        ("reader", "CONNECTION LIMIT 0", "read since .* 53300: the database has no free connection"),
        ("reader", "NOLOGIN", "read since .* 28000: the database does not accept the credentials"),
    ],
)
def test_health_says_which_role_cannot_do_what_before_its_deadline(
    deployment: Deployment, role: str, change: str, sentence: str
) -> None:
    deployment.migrate()
    assert answer_health(deployment.services, deadline()).status == "ok"
    deployment.product.execute(f"ALTER ROLE {getattr(deployment.roles.names, role)} {change}")
    deployment.dispose()  # sessions keep their settings
    given = Deadline.after(RESERVE + 2)

    try:
        said = answer_health(deployment.services, given).attention[0].text
        assert role == "writer"
    except RolesUnavailableError as error:
        said = str(error)
        assert role == "reader"

    assert given.remaining > 0
    assert re.search(f"the {role} cannot {sentence}", said)
    assert said.count(" cannot ") == 1


def test_health_says_that_a_database_hangs_before_its_deadline(deployment: Deployment) -> None:
    """It accepts connections and answers none; then, a migration of the product locks a table."""
    deployment.migrate()
    services, urls = deployment.services, (deployment.roles.writer, deployment.roles.reader)

    def said(port: int | None) -> str:
        services.engine, services.reading_engine = (
            open_engine(partial(Credentials.from_url, url), tls=False, is_patient=False)
            for url in (make_url(url).set(port=port or make_url(url).port) for url in urls)
        )
        given = Deadline.after(600)
        with pytest.raises(RolesUnavailableError) as refused:
            answer_health(services, given)
        assert given.remaining > 600 - HEALTH_SECONDS
        services.engine.dispose()
        services.reading_engine.dispose()
        return str(refused.value)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        fails = "cannot {} since .*: no connection: TimeoutError"
        both = f"the reader {fails.format('read')}; the writer {fails.format('write')}"
        assert re.search(both, said(silent.getsockname()[1]))
    with deployment.product.engine.connect() as migration:
        migration.execute(text("LOCK TABLE roadmap_tasks"))
        locked = said(None)
    assert re.search("the reader cannot read since .* 55P03: another session held a lock", locked)
    assert "the writer" not in locked


def test_health_names_the_rule_also_if_it_hides_our_own_tables(deployment: Deployment) -> None:
    finish(deployment)
    ours = deployment.product.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'content\\_%'"
    )
    secure(deployment.product, tuple(row["relname"] for row in ours))
    found = deployment.findings()
    assert {"database", "rows_hidden content_attempts", "rows_hidden content_findings"} <= found.keys()


def test_a_run_that_loses_sight_of_the_rows_pays_for_nothing_twice(deployment: Deployment) -> None:
    deployment.product.roadmap("r-1", ["r-1:c"])
    deployment.product.task("t-1", "failed", roadmap_id="r-1")
    deployment.migrate()
    services = deployment.services
    counted = services.generator = FakeModel()
    execution = planned(services, retry(services))
    while execution.state is not State.SAVE:
        execution.step(services, deadline())
    paid = len(counted.made)

    secure(deployment.product, TABLES)
    while execution.running:
        execution.advance(services)
    with pytest.raises(SweepHeldError):
        deployment.sweep()
    secure(deployment.product, TABLES, "DISABLE")

    deployment.product.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
    assert [repair.status for repair in deployment.sweep().repairs] == ["failed"]
    heal(services)
    assert deployment.product.rows("SELECT status FROM roadmap_tasks") == [{"status": "completed"}]
    assert paid == len(counted.made) > 0


def filtered(deployment: Deployment) -> None:
    """The roles' sessions filter in silence, unless something prevents it."""
    for role in (deployment.roles.names.writer, deployment.roles.names.reader):
        deployment.product.execute(f"ALTER ROLE {role} SET row_security = on")
    deployment.dispose()  # sessions keep their settings


def state_that_every_row_is_shown(deployment: Deployment, policy: str, table: str) -> None:
    """The statement of the runbook."""
    roles = f"{deployment.roles.names.writer}, {deployment.roles.names.reader}"
    deployment.product.execute(f"COMMENT ON POLICY {policy} ON {table} IS 'shows every row to {roles}'")


@pytest.mark.parametrize("is_filtered", [False, True])
def test_two_ways_permit_a_role_to_read_a_table_with_row_level_security(
    deployment: Deployment, *, is_filtered: bool
) -> None:
    fill(deployment.product)
    secure(deployment.product, TABLES)
    for table in TABLES:
        deployment.product.execute(f"CREATE POLICY every_row ON {table} USING (true)")
    if is_filtered:
        filtered(deployment)
        for table in TABLES:
            with pytest.raises(MigrationRefusedError, match=f"{table}: .*every_row"):
                deployment.migrate()
            state_that_every_row_is_shown(deployment, "every_row", table)
    else:
        for role in (deployment.roles.names.writer, deployment.roles.names.reader):
            deployment.product.execute(f"ALTER ROLE {role} BYPASSRLS")

    deployment.migrate()
    heal(deployment.services)

    assert deployment.findings() == {}
    (task,) = deployment.product.rows("SELECT status FROM roadmap_tasks WHERE task_id = 't-1'")
    assert task["status"] == "completed"


EVERY_ROW = "CREATE POLICY every_row ON quiz_metadata USING (true)"
ONE_HIDDEN = "CREATE POLICY tenants ON quiz_metadata USING (roadmap_id <> 'r-1')"


@pytest.mark.parametrize("is_filtered", [False, True])
@pytest.mark.parametrize(
    ("tables", "policies"),
    [
        (TABLES, []),
        (("concept_metadata",), []),
        (("quiz_metadata",), [ONE_HIDDEN]),
        (("quiz_metadata",), [ONE_HIDDEN, EVERY_ROW]),
    ],
)
def test_rows_that_are_not_visible_are_not_missing(
    deployment: Deployment, *, tables: tuple[str, ...], policies: list[str], is_filtered: bool
) -> None:
    """The effect of a policy's expression is not known."""
    finish(deployment)
    assert deployment.findings() == {}
    deployment.product.execute("UPDATE content_checks SET next_check_at = now() - interval '1 hour'")
    before = deployment.product.everything()
    if is_filtered:
        filtered(deployment)
    secure(deployment.product, tables)
    for policy in policies:
        deployment.product.execute(policy)
    counted = deployment.services.generator = FakeModel()

    if tables == ("concept_metadata",):  # nothing that an outcome is computed from
        deployment.sweep()
    else:
        with pytest.raises(SweepHeldError, match="42501"):
            deployment.sweep()
        with pytest.raises(SweepHeldError, match="42501"):
            reconcile(ReconcileRequest(), deployment.services, deadline())
        for number in range(1, TASKS + 1):
            with pytest.raises(InsufficientPrivilegeError):
                retry(deployment.services, f"t-{number}")

    assert (deployment.product.everything(), counted.made) == (before, [])
    found = deployment.findings()
    for table in tables:
        for name in (*deployment.roles.names[1:], "tenants" if policies else "no policy"):
            assert name in found[f"rows_hidden {table}"]
    secure(deployment.product, tables, "DISABLE")
    assert deployment.sweep().repairs == []
    assert not any(name.startswith("rows_hidden") for name in deployment.findings())


def test_a_statement_about_a_policy_ends_with_the_next_policy(deployment: Deployment) -> None:
    finish(deployment)
    filtered(deployment)
    secure(deployment.product, ("quiz_metadata",))
    deployment.product.execute(EVERY_ROW)
    state_that_every_row_is_shown(deployment, "every_row", "quiz_metadata")
    assert deployment.sweep().repairs == []
    assert deployment.findings() == {}

    deployment.product.execute(ONE_HIDDEN.replace("USING", "AS RESTRICTIVE USING"))

    with pytest.raises(SweepHeldError, match="42501"):
        deployment.sweep()
    assert "tenants" in deployment.findings()["rows_hidden quiz_metadata"]


AUDIT = """
CREATE TABLE audit (what text);
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.audit VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER notes AFTER INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION audited()
"""
"""An ordinary trigger of the product: it runs with the privileges of the writer."""


@pytest.mark.parametrize("table", ["roadmap_tasks", "quiz_metadata"])
def test_a_trigger_of_the_product_that_our_role_may_not_run_is_named_with_its_grant(
    deployment: Deployment, table: str
) -> None:
    deployment.product.failed(["r-1:c"])
    deployment.migrate()
    deployment.product.execute(AUDIT.format(table))

    if table == "roadmap_tasks":
        with pytest.raises(InsufficientPrivilegeError, match=r"table audit.*function audited"):
            retry(deployment.services)
    else:
        heal(deployment.services)
        reasons = deployment.product.rows("SELECT DISTINCT reason FROM content_failures")
        assert [row["reason"] for row in reasons if "GRANT INSERT ON audit" in row["reason"]] != []

    message = deployment.findings()["privilege_missing audit"]
    assert f"notes of {table}" in message
    grant = message[message.index("GRANT") :].partition(" TO ")[0]
    assert grant == "GRANT INSERT ON audit"
    deployment.product.execute(f"{grant} TO {deployment.roles.names.writer}")
    heal(deployment.services)
    (task,) = deployment.product.rows("SELECT status FROM roadmap_tasks")
    assert task["status"] == "completed"
    deployment.migrate()
    assert deployment.findings() == {}


@pytest.mark.parametrize(
    ("body", "grant"),
    [
        ("IF EXISTS (SELECT FROM public.audit) THEN NULL; END IF;", "SELECT ON audit"),
        ("TG_ARGV := ARRAY(SELECT what FROM public.audit);", "SELECT ON audit"),
        ("WITH w AS (SELECT TG_OP AS what) INSERT INTO public.audit SELECT what FROM w;", "… ON audit"),
        ("INSERT INTO public.seen VALUES (TG_OP);", "INSERT ON seen"),
    ],
    ids=["an expression", "an assignment", "a statement with WITH", "a view"],
)
def test_whatever_a_trigger_of_the_product_does_its_denied_right_is_named(
    deployment: Deployment, body: str, grant: str
) -> None:
    deployment.product.failed(["r-1:c"])
    deployment.migrate()
    audit = AUDIT.replace("CREATE FUNCTION", "CREATE VIEW seen AS TABLE audit; CREATE FUNCTION")
    insert = "INSERT INTO public.audit VALUES (TG_OP);"
    deployment.product.execute(audit.format("roadmap_tasks").replace(insert, body))
    with pytest.raises(InsufficientPrivilegeError, match=f"function audited: GRANT {grant} TO the writer"):
        retry(deployment.services)


def test_a_text_with_values_is_not_shown(deployment: Deployment) -> None:
    """A trigger may raise any text with any code."""
    deployment.product.failed(["r-1:c"])
    deployment.migrate()
    secret = "RAISE 'permission denied for table % of Anna', OLD.user_id USING ERRCODE = '42501'"
    insert = "INSERT INTO public.audit VALUES (TG_OP)"
    deployment.product.execute(AUDIT.format("roadmap_tasks").replace(insert, secret))
    with pytest.raises(InsufficientPrivilegeError) as refused:
        retry(deployment.services)
    assert "Anna" not in str(refused.value)
    assert not any("Anna" in message for message in deployment.findings().values())


@pytest.mark.parametrize("content_type", PRODUCT_TYPES)
def test_a_sweep_does_not_believe_that_all_rows_of_a_type_are_gone(
    deployment: Deployment, content_type: ContentType
) -> None:
    finish(deployment)
    table = CONTENT_KINDS[content_type].table
    deployment.product.execute(f"CREATE TABLE former AS TABLE {table}")
    deployment.product.execute(f"TRUNCATE {table} CASCADE")
    deployment.product.execute("UPDATE content_checks SET next_check_at = now() - interval '1 hour'")
    before = deployment.product.everything()
    expected = f"{TASKS} roadmaps have no {content_type} any more"

    for _ in range(2):
        with pytest.raises(SweepHeldError, match=expected):
            deployment.sweep()
    with pytest.raises(SweepHeldError, match=expected):
        reconcile(ReconcileRequest(), deployment.services, deadline())
    assert deployment.product.everything() == before
    assert expected in deployment.findings()["sweep_held"]

    deployment.product.execute(f"INSERT INTO {table} TABLE former")
    assert deployment.sweep().repairs == []
    assert deployment.findings() == {}


def test_an_operator_s_word_and_fewer_roadmaps_are_no_loss(deployment: Deployment) -> None:
    finish(deployment)
    deployment.product.execute("DELETE FROM quiz_metadata WHERE roadmap_id = 'r-1'")
    assert [repair.task_id for repair in deployment.sweep().repairs] == ["t-1"]
    counted = deployment.services.generator = FakeModel()
    heal(deployment.services)
    deployment.product.execute("TRUNCATE quiz_metadata CASCADE")

    repairs = deployment.sweep(accept_loss="the quizzes are made anew").repairs

    assert sorted(repair.task_id for repair in repairs) == ["t-1", "t-2", "t-3"]
    assert deployment.sweep().repairs == []
    assert "sweep_held" not in deployment.findings()
    for number in range(1, TASKS + 1):
        heal(deployment.services, f"t-{number}")
    assert len(deployment.product.rows("SELECT 1 FROM quiz_metadata")) == TASKS
    assert counted.made == []  # staged content stays after it is saved
