"""The forge's workflows run only pinned code, and deploy only the artefact that was built and attested."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from documents.aws import FACTS

WORKFLOWS = Path(__file__).parents[2] / ".github/workflows"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/workflows/[\w-]+\.yml")


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_names_its_version(path: Path) -> None:
    used = re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)
    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []


PINS = {
    name: version
    for path in WORKFLOWS.glob("*.yml")
    for name, version in re.findall(r"uses: ([\w./-]+)@[0-9a-f]{40} # (v[\d.]+)", path.read_text())
}
READ = {fact.name: fact for fact in FACTS if fact.kind == "action"}


def test_the_table_has_the_version_of_each_action() -> None:
    assert {name: fact.value for name, fact in READ.items()} == PINS


@pytest.mark.nightly
def test_no_action_was_chosen_more_than_a_year_ago() -> None:
    """Without the network: runners drop the version of Node that an old action needs."""
    a_year_ago = (datetime.now(UTC) - timedelta(days=365)).date().isoformat()
    assert [name for name, fact in READ.items() if fact.read < a_year_ago] == []


def test_both_environments_get_the_artefact_of_the_one_build() -> None:
    build, staging, production = yaml.safe_load((WORKFLOWS / "deploy.yml").read_text())["jobs"].values()
    assert [step["run"] for step in build["steps"] if "run" in step] == ["make artifact"]
    assert (staging["needs"], production["needs"]) == ("build", "staging")
    assert staging["uses"] == production["uses"]
    (deploy,) = yaml.safe_load((WORKFLOWS / "deploy-to.yml").read_text())["jobs"].values()
    assert deploy["environment"] == "${{ inputs.environment }}", "its reviewers approve, its role is assumed"
    verified, _, deployed, tried = (step["run"] for step in deploy["steps"] if "run" in step)
    assert tried == 'make first-day STACK="$ENV" SMOKE=1'
    trying, keeping = deploy["steps"][-2:]
    assert trying["if"] == "inputs.environment != 'prod'"
    assert keeping["if"].startswith("always() &&"), "also if it failed: what is to be undone"
    assert keeping["with"]["path"] == "first-day-*.json"
    assert "gh attestation verify release.tar.gz" in verified
    for pinned in ("workflows/deploy.yml", '--source-ref "$GITHUB_REF"', '--source-digest "$GITHUB_SHA"'):
        assert pinned in verified
    text = (WORKFLOWS / "deploy.yml").read_text() + (WORKFLOWS / "deploy-to.yml").read_text()
    assert "secrets." not in text, "no credentials that outlive the job"
    assert build["if"] == "github.ref_protected"
    triggers = yaml.safe_load((WORKFLOWS / "deploy.yml").read_text())[True]  # YAML's `on`
    assert triggers == {"push": {"tags": ["v*"]}}, "no branch of anybody"
    assert "ARTIFACT=release.tar.gz" in deployed
