"""The requests of the smoke test to IAM: every role, its own resources, and foreign ones."""

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from smoke.role_simulation import FORBIDDEN, Expectation, expectations, foreign, resolved

TEMPLATE = read_template(REPOSITORY / "template.yaml")
BUCKET = "arn:aws:s3:::roadmap-contentbucket-1"
SECRETS = "arn:aws:secretsmanager:eu-central-1:123456789012:secret"
VALUES = {
    **dict.fromkeys(TEMPLATE["Parameters"], ""),
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "roadmap",
    "CheckLinksFunction.Alias": "",
    "ContentBucket.Arn": BUCKET,
    "ContentKey.Arn": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "FunctionLogs.Arn": "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/roadmap:*",
    "DeadLetters.Arn": "arn:aws:sqs:eu-central-1:123456789012:roadmap-DeadLetters-1",
    "DatabaseMigratorSecretArn": f"{SECRETS}:migrator",
    "DatabaseWriterSecretArn": f"{SECRETS}:writer",
    "DatabaseReaderSecretArn": f"{SECRETS}:reader",
}
FOUND = set(expectations(TEMPLATE, VALUES))


def test_no_function_is_allowed_a_forbidden_action() -> None:
    functions = {each.logical_id for each in FOUND}
    assert len(functions) == 12
    denied = {(each.logical_id, each.action) for each in FOUND if each.arn == "*" and not each.allowed}
    assert denied == {(function, action) for function in functions for action in FORBIDDEN}


def test_permissions_of_the_template_are_expected_on_own_resources_only() -> None:
    saver = {
        (each.action, each.arn, each.allowed) for each in FOUND if each.logical_id == "SaveBatchFunction"
    }
    assert {
        ("s3:GetObject", f"{BUCKET}/staged/smoke", True),
        ("s3:GetObject", "arn:aws:s3:::foreign-roadmap-contentbucket-1/staged/smoke", False),
        ("secretsmanager:GetSecretValue", f"{SECRETS}:writer", True),
        ("secretsmanager:GetSecretValue", f"{SECRETS}:foreign-writer", False),
    } <= saver


@pytest.mark.parametrize(
    ("secret", "users"),
    [
        ("migrator", {"MigrateDatabaseFunction"}),
        ("reader", {"TaskApiFunction", "RecoveryApiFunction"}),
    ],
)
def test_each_database_role_is_that_of_its_functions(secret: str, users: set[str]) -> None:
    found = {each.logical_id for each in FOUND if each.arn == f"{SECRETS}:{secret}" and each.allowed}
    assert found == users


def test_statements_with_an_empty_parameter_have_no_expectation() -> None:
    assert not [each for each in FOUND if each.action in ("events:PutEvents", "rds-db:connect")]
    assert resolved("${EventBusArn}", VALUES) is None
    with pytest.raises(KeyError):
        resolved("${Unknown.Arn}", VALUES)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("arn:aws:kms:r:1:key/1", "arn:aws:kms:r:1:key/foreign-1"),
        ("arn:aws:sqs:r:1:queue", "arn:aws:sqs:r:1:foreign-queue"),
        ("arn:aws:states:r:1:execution:m:smoke", "arn:aws:states:r:1:execution:foreign-m:smoke"),
    ],
)
def test_a_foreign_resource_has_the_same_kind(own: str, other: str) -> None:
    assert foreign(own) == other


def test_every_expectation_has_an_action_and_an_arn() -> None:
    assert all(isinstance(each, Expectation) and each.action and each.arn for each in FOUND)
