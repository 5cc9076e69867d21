"""What each function's code can reach, derived from its types."""

import ast
from dataclasses import fields
from importlib import import_module

import pytest

from checks.template.reachable import Operation, reached_by
from local_stack.builds import REPOSITORY
from roadmap_content.state.services import Capability

DATABASE = {Operation("rds", "generate_db_auth_token"), Operation("secretsmanager", "get_secret_value")}
EVENTS = {Operation("events", "put_events")}  # sends the events of its transactions
READ, WRITE, COPY = (Operation("s3", f"{verb}_object") for verb in ("get", "put", "copy"))
LIST, HEAD, DELETE = (Operation("s3", name) for name in ("list_objects_v2", "head_object", "delete_object"))
DESCRIBE, START, REDRIVE, STOP = (
    Operation("stepfunctions", f"{verb}_execution") for verb in ("describe", "start", "redrive", "stop")
)
STEP = DATABASE | EVENTS
ERASE = {Operation("s3", "delete_objects"), Operation("s3", "list_object_versions")}


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("plan_batches", STEP | {LIST, HEAD, WRITE, DESCRIBE, START, REDRIVE}),  # it looks for staged items
        (
            "generate_content",  # the generator is imported by its name
            STEP | {READ, WRITE, COPY, LIST, HEAD, DELETE} | {Operation("bedrock-runtime", "converse")},
        ),
        # writes through a function in a field of the content type; asks the product's check of content
        ("save_batch", STEP | {READ, WRITE} | {Operation("lambda", "invoke")}),
        (
            "finalize_task",
            STEP | {READ, LIST, HEAD, DESCRIBE, START, REDRIVE},
        ),  # starts what waits for the end
        ("await_redrive", STEP | {DESCRIBE}),
        # finalizes attempts as Finalize does, but reads no batch; starts what waits or is due; removes the
        # objects of deleted tasks, and unnamed texts
        ("reconcile_task", STEP | ERASE | {LIST, HEAD, DELETE, DESCRIBE, START, REDRIVE}),
        ("migrate_database", STEP),
        # the details of an item, and the staged items of a preview
        ("task_api", DATABASE | {DESCRIBE, START, REDRIVE, STOP} | {READ, LIST, HEAD}),
        (
            "recovery_api",  # erases, too
            DATABASE | ERASE | {READ, LIST, HEAD, WRITE, DELETE, DESCRIBE, START, REDRIVE, STOP},
        ),
        ("authorize_request", {Operation("secretsmanager", "get_secret_value")}),
        ("console", set()),
        ("check_links", set()),
    ],
)
def test_the_operations_of_a_function(name: str, operations: set[Operation]) -> None:
    assert reached_by(name).operations == operations


def test_the_settings_of_a_function() -> None:
    assert reached_by("authorize_request").settings == {
        "JWT_ISSUER",
        "JWT_AUDIENCE",
        "JWT_JWKS_URL",
        "JWT_SECRET_ARN",
        "OPERATOR_SCOPE",
        "OPERATOR_SUBJECTS",
        "TENANT_CLAIM",
        "VIEWER_SCOPE",
    }
    assert {"BATCH_SIZE", "CONTENT_BUCKET", "STATE_MACHINE_ARN"} <= reached_by("plan_batches").settings
    assert "STATE_MACHINE_ARN" not in reached_by("save_batch").settings


LAYER = REPOSITORY / "layers/common"
SERVICES = "roadmap_content.state.services"
FUNCTIONS = sorted(path.parent.name for path in REPOSITORY.glob("functions/*/app.py"))


def capabilities() -> dict[str, Capability]:
    """Every capability of the layer, by the symbol that a function composes."""
    paths = sorted(LAYER.glob("roadmap_content/**/hooks.py"))
    modules = [import_module(".".join(path.relative_to(LAYER).with_suffix("").parts)) for path in paths]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Capability)
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_calls_a_hook_composes_every_capability_that_has_it(name: str) -> None:
    """A function without one would lose a fence, without an error."""
    symbols = reached_by(name).symbols
    called = [hook.name for hook in fields(Capability) if f"{SERVICES}.Capability.{hook.name}" in symbols]
    needed = {
        symbol for symbol, given in capabilities().items() if any(getattr(given, hook) for hook in called)
    }
    assert needed <= symbols


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_claims_or_finishes_a_run_gives_its_services_a_tuple(name: str) -> None:
    app = ast.parse((REPOSITORY / f"functions/{name}/app.py").read_text())
    given = {node.arg for node in ast.walk(app) if isinstance(node, ast.keyword)}
    assert ("capabilities" in given) == (f"{SERVICES}.Services.capabilities" in reached_by(name).symbols)


def test_some_functions_call_hooks() -> None:
    assert f"{SERVICES}.Capability.after_run" in reached_by("finalize_task").symbols
    assert f"{SERVICES}.Capability.after_run" not in reached_by("plan_batches").symbols
    assert f"{SERVICES}.Services.capabilities" in reached_by("await_redrive").symbols
