"""References in the documents exist, and every decision has a date and a status."""

import re
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("events/*.md")]
)
DECISIONS = sorted(REPOSITORY.glob("docs/adr/*.md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(#[^)]*)?\)")
STATUS = re.compile(r"^- Status: (accepted|superseded by \[\d+\])", re.MULTILINE)
DATE = re.compile(r"^- Date: \d{4}-\d\d-\d\d$", re.MULTILINE)


def name_of(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_refers_to_an_existing_file(document: Path) -> None:
    targets = [match[1] for match in LINK.finditer(document.read_text())]
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DECISIONS, ids=name_of)
def test_a_decision_has_a_date_and_a_status(document: Path) -> None:
    text = document.read_text()
    assert DATE.search(text)
    assert STATUS.search(text)


@pytest.mark.parametrize("document", DECISIONS, ids=name_of)
def test_a_decision_that_amends_or_supersedes_another_is_named_there(document: Path) -> None:
    number = int(document.name[:4])
    for kind, counterpart in (("supersedes", "superseded by"), ("amends", "Amended by:")):
        for match in re.finditer(rf"{kind} \[\d+\]\(([^)]+)\)", document.read_text()):
            assert f"{counterpart} [{number}]" in (document.parent / match[1]).read_text()
