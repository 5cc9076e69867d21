"""The linters report each fault of a template, and unneeded suppressions.

`python -m checks.template` runs them on the template itself. Here one copy of it has all faults, because a
linter needs many seconds for it.
"""

from pathlib import Path

import pytest

from checks.template.findings import Finding
from checks.template.linters import lint_with_cfn_lint, lint_with_checkov, lint_with_sam
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template

pytestmark = pytest.mark.nightly

FAULTS = {
    "!GetAtt SaveBatchRole.Arn": "!GetAtt SaveBatchesRole.Arn",
    "Conditions:\n": 'Conditions:\n  Unused: !Equals [!Ref Architecture, "arm64"]\n',
    "        BlockPublicAcls: true\n": "        BlockPublicAcls: false\n",
    ', comment: "a task\'s status must not be an old one"': "",
    "id: CKV_AWS_18,": "id: CKV_AWS_21,",
}
"""Texts of the template, and their replacements."""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (REPOSITORY / "template.yaml").read_text()
    for right, wrong in FAULTS.items():
        assert right in text
        text = text.replace(right, wrong, 1)
    path = tmp_path_factory.mktemp("broken") / "template.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def from_cfn_lint(broken: Path) -> list[Finding]:
    return list(lint_with_cfn_lint(broken))


@pytest.fixture(scope="module")
def from_checkov(broken: Path) -> set[tuple[str, str]]:
    """The rule and the fault of each finding."""
    return {
        (finding.place.removeprefix("checkov "), finding.fault)
        for finding in lint_with_checkov(broken, read_template(broken))
    }


def test_an_undefined_reference_is_found_by_both_linters(broken: Path, from_cfn_lint: list[Finding]) -> None:
    assert any("SaveBatchesRole" in finding.fault for finding in from_cfn_lint)
    assert any("SaveBatchesRole" in finding.fault for finding in lint_with_sam(broken))


def test_a_warning_is_a_finding(from_cfn_lint: list[Finding]) -> None:
    assert "cfn-lint W8001" in [finding.place for finding in from_cfn_lint]


def test_a_suppressed_warning_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("""
Metadata:
  cfn-lint: { config: { ignore_checks: [W8001] } }
Conditions: { Unused: !Equals [!Ref AWS::Region, "eu-central-1"] }
Resources: { Topic: { Type: AWS::SNS::Topic } }
""")
    assert [finding.fault for finding in lint_with_cfn_lint(path)] == ["suppressed in the template"]


def test_checkov_finds_an_open_bucket_and_suppressions_without_reason_or_need(
    from_checkov: set[tuple[str, str]],
) -> None:
    open_bucket = {each for each in from_checkov if each[0] == "CKV_AWS_53"}
    assert len(open_bucket) == 1
    assert {fault for _, fault in from_checkov - open_bucket} == {
        "TasksApi: suppressed without a reason",
        "ContentBucket: Ensure the S3 bucket has access logging enabled",
        "ContentBucket: suppressed and not found",
    }
