"""Every link between documents leads to a file and, if it has an anchor, to a heading."""

import re
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY

DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
    REPOSITORY / "events/README.md",
]
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
RUNBOOK = re.compile(r"docs/runbook\.md#([a-z0-9-]+)")


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as on GitHub."""
    titles = (re.sub(r"[`*]", "", title).lower() for title in HEADING.findall(document.read_text()))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_to_files_and_headings(document: Path) -> None:
    broken = []
    for link in LINK.findall(document.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_sections_of_the_runbook_that_the_code_refers_to_exist() -> None:
    code = [REPOSITORY / "template.yaml", *(REPOSITORY / "layers").rglob("*.py")]
    named = {place for file in code for place in RUNBOOK.findall(file.read_text())}
    assert named
    assert named <= anchors(REPOSITORY / "docs/runbook.md")
