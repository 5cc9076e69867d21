"""The template has no findings of its linters, and suppressions are checked."""

from pathlib import Path

from checks.template.findings import Finding
from checks.template.linters import lint_with_cfn_lint, lint_with_checkov, lint_with_sam
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template


def replace(path: Path, right: str, wrong: str) -> Path:
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    return path


def checkov(path: Path) -> list[Finding]:
    return list(lint_with_checkov(path, read_template(path)))


def test_the_template_has_no_findings(template: Template) -> None:
    path = REPOSITORY / "template.yaml"
    findings = [*lint_with_cfn_lint(path), *lint_with_sam(path), *lint_with_checkov(path, template)]
    assert findings == []


def test_an_undefined_reference_is_found_by_both_linters(broken: Path) -> None:
    replace(broken, "!GetAtt SaveBatchRole.Arn", "!GetAtt SaveBatchesRole.Arn")
    assert any("SaveBatchesRole" in finding.fault for finding in lint_with_cfn_lint(broken))
    assert any("SaveBatchesRole" in finding.fault for finding in lint_with_sam(broken))


def test_a_warning_is_a_finding(broken: Path) -> None:
    replace(broken, "Conditions:\n", 'Conditions:\n  Unused: !Equals [!Ref Architecture, "arm64"]\n')
    assert [finding.place for finding in lint_with_cfn_lint(broken)] == ["cfn-lint W8001"]


def test_a_suppressed_warning_is_a_finding(broken: Path) -> None:
    replace(broken, "Conditions:\n", 'Conditions:\n  Unused: !Equals [!Ref Architecture, "arm64"]\n')
    replace(
        broken,
        "Parameters:\n",
        "Metadata:\n  cfn-lint: { config: { ignore_checks: [W8001] } }\n\nParameters:\n",
    )
    assert [finding.fault for finding in lint_with_cfn_lint(broken)] == ["suppressed in the template"]


def test_an_open_bucket_is_found(broken: Path) -> None:
    replace(broken, "        BlockPublicAcls: true\n", "        BlockPublicAcls: false\n")
    assert [finding.place for finding in checkov(broken)] == ["checkov CKV_AWS_53"]


def test_a_suppression_needs_a_reason(broken: Path) -> None:
    replace(broken, ', comment: "a task\'s status must not be an old one"', "")
    assert [finding.fault for finding in checkov(broken)] == ["TasksApi: suppressed without a reason"]


def test_an_unused_suppression_is_found(broken: Path) -> None:
    replace(broken, "id: CKV_AWS_18,", "id: CKV_AWS_21,")
    assert {finding.fault for finding in checkov(broken)} == {
        "ContentBucket: Ensure the S3 bucket has access logging enabled",
        "ContentBucket: suppressed and not found",
    }
