"""The runbook, followed command by command in a real shell with the real AWS CLI: see `following.py`.

`test_paper_deployment.py` follows the page of the deployment.
"""

from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from tests.template.following import Followed, follow, one_line, statements


@pytest.fixture(scope="module")
def runbook(cli: Path) -> Followed:
    return follow(cli, "runbook", (REPOSITORY / "docs/runbook.md").read_text())


def test_a_shell_and_the_aws_cli_accept_every_command_of_the_runbook(runbook: Followed) -> None:
    runbook.require_success()


def test_the_runbook_deletes_every_version_below_each_prefix_of_the_user(runbook: Followed) -> None:
    prefixes = [each["Prefix"] for each in runbook.sent("s3.ListObjectVersions")]
    assert prefixes == ["ROADMAP_ID/", "staged/ROADMAP_ID/", "rejected/ROADMAP_ID/", "manifests/TASK_ID/"]
    deleted = [(each["Key"], each["VersionId"]) for each in runbook.sent("s3.DeleteObject")]
    # Both versions and both delete markers of the answer, for each prefix.
    assert deleted == [("available-1", "available-1"), ("available-2", "available-2")] * 2 * len(prefixes)
    assert {each["Bucket"] for each in runbook.sent("s3.DeleteObject")} == {"the-value-of-ContentBucket"}


def test_the_runbook_deletes_a_user_s_rows_in_one_transaction(runbook: Followed) -> None:
    (begun,) = runbook.sent("rds-data.BeginTransaction")
    executed = runbook.sent("rds-data.ExecuteStatement")
    assert [one_line(each["sql"]) for each in executed] == statements("database/erase.sql")
    (committed,) = runbook.sent("rds-data.CommitTransaction")
    in_order = [name for name, _ in runbook.requests if name.startswith("rds-data.")]
    assert (in_order[0], in_order[-1]) == ("rds-data.BeginTransaction", "rds-data.CommitTransaction")
    for each in (begun, committed, *executed):
        assert each["resourceArn"] == "the-value-of-ClusterArn"
        assert each["secretArn"] == "the-value-of-MasterSecretArn"
    for each in executed:
        assert each["transactionId"] == committed["transactionId"] == "available"
        given = {parameter["name"]: parameter["value"] for parameter in each["parameters"]}
        assert given == {"user_id": {"stringValue": "USER"}, "roadmap_id": {"stringValue": ""}}


def test_an_invalid_command_is_detected(cli: Path) -> None:
    wrong = """```console
$ aws sqs purge-queue --queue-name x
$ aws rds describe-db-clusters --query 'Clusters[].Name' --output text
$ nonsense
```"""
    followed = follow(cli, "wrong", wrong)
    assert len(followed.failures) == 2, "an unknown option, and an unknown program"
    assert followed.output.split() == ["None"]
