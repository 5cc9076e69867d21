"""The targets of references in documents exist."""

import re
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from migrations.privileges import READS
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.reasons import SENTENCES
from roadmap_content.platform.postgres.engine import CERTIFICATES
from tests.support.anchors import anchors

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("events/*.md")]
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(#[^)]*)?\)")


def test_every_link_refers_to_an_existing_file() -> None:
    targets = [
        document.parent / match[1] for document in DOCUMENTS for match in LINK.finditer(document.read_text())
    ]
    assert len(targets) > 100
    assert [target for target in targets if not target.exists()] == []


ARCHITECTURE = (REPOSITORY / "docs/architecture.md").read_text()
LAYER = REPOSITORY / "layers/common/roadmap_content"


TYPES_ADDED_LATER = {kind.table for each, kind in CONTENT_KINDS.items() if each not in PRODUCT_TYPES}


def section(heading: str) -> str:
    """A section of the architecture page."""
    return ARCHITECTURE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_architecture_lists_each_table() -> None:
    data = section("Data")
    assert [table for table in READS if f"`{table}`" not in data and table not in TYPES_ADDED_LATER] == []


def test_every_invariant_that_is_cited_is_defined() -> None:
    defined = set(re.findall(r"^\| (I\d+) \|", section("Invariants"), re.MULTILINE))
    assert defined == {f"I{number}" for number in range(1, len(defined) + 1)}
    files = [*REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("tests/**/*.py")]
    cited = {name for file in files for name in re.findall(r"\bI\d{1,2}\b", file.read_text())}
    assert cited <= defined


def test_the_architecture_names_modules_and_folders_that_exist() -> None:
    modules = re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", ARCHITECTURE)
    assert modules
    places = (LAYER, REPOSITORY)
    assert [name for name in modules if not any((place / name).exists() for place in places)] == []
    folders = {path.name for path in LAYER.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert [name for name in folders if f"`{name}/`" not in ARCHITECTURE] == []


@pytest.mark.parametrize("document", [REPOSITORY / "docs/deploy.md", CERTIFICATES / "README.md"])
def test_certificates_are_downloaded_to_the_folder_that_connections_trust(document: Path) -> None:
    targets = re.findall(r"--output (\S+\.pem)", document.read_text())
    assert targets
    assert {(REPOSITORY / target).parent for target in targets} == {CERTIFICATES}


def test_the_sections_of_the_runbook_that_code_refers_to_exist() -> None:
    code = [REPOSITORY / "template.yaml", *LAYER.rglob("*.py")]
    named = {a for file in code for a in re.findall(r"docs/runbook\.md#([a-z0-9-]+)", file.read_text())}
    assert named
    assert named <= anchors("docs/runbook.md")


def test_every_code_that_is_shown_is_in_the_runbook() -> None:
    runbook = (REPOSITORY / "docs/runbook.md").read_text()
    assert [code for code in SENTENCES if not re.search(rf"`{re.escape(code)}[^`\n]*`", runbook)] == []
