"""The check of example events detects invalid and missing events."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from checks.template.events import check_events
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPOSITORY / "events", tmp_path / "events"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_events_of_the_repository_are_valid(template: Template) -> None:
    assert list(check_events(template, REPOSITORY / "events")) == []
