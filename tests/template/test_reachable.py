"""The AWS operations that each function's code can reach, derived from its types."""

import pytest

from checks.template.reachable import Operation, reached_by

DATABASE = {Operation("rds", "generate_db_auth_token"), Operation("secretsmanager", "get_secret_value")}
READ, WRITE = Operation("s3", "get_object"), Operation("s3", "put_object")
LIST, HEAD, DELETE = (Operation("s3", name) for name in ("list_objects_v2", "head_object", "delete_object"))
DESCRIBE = Operation("stepfunctions", "describe_execution")


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("plan_batches", DATABASE | {WRITE, DESCRIBE}),
        (
            "generate_content",  # the generator is imported by its name
            DATABASE | {READ, WRITE, LIST, HEAD, DELETE} | {Operation("bedrock-runtime", "converse")},
        ),
        ("save_batch", DATABASE | {READ, WRITE}),  # writes through a function in a field of the content type
        ("finalize_task", DATABASE | {READ}),
        ("await_redrive", DATABASE | {DESCRIBE}),
        (
            "reconcile_task",
            DATABASE | {DESCRIBE},
        ),  # finalizes attempts as Finalize does, but reads no batch
        ("migrate_database", DATABASE),
        (
            "task_api",
            DATABASE
            | {DESCRIBE}
            | {Operation("stepfunctions", f"{verb}_execution") for verb in ("start", "redrive")},
        ),
        ("authorize_request", {Operation("secretsmanager", "get_secret_value")}),
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
    }
    assert {"BATCH_SIZE", "CONTENT_BUCKET", "STATE_MACHINE_ARN"} <= reached_by("plan_batches").settings
    assert "STATE_MACHINE_ARN" not in reached_by("save_batch").settings
