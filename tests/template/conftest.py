"""Copies of the repository's template and state machine definition, for tests that break them."""

import copy
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

_TEMPLATE = read_template(REPOSITORY / "template.yaml")


@pytest.fixture
def template() -> Template:
    """The template, which a test may change."""
    return copy.deepcopy(_TEMPLATE)


@pytest.fixture
def definition() -> str:
    """The state machine's definition."""
    return (REPOSITORY / "statemachine/save_content.asl.json").read_text()


@pytest.fixture
def template_text() -> str:
    """The text of the template."""
    return (REPOSITORY / "template.yaml").read_text()


@pytest.fixture
def broken(tmp_path: Path, template_text: str) -> Path:
    """A copy of the template to which a test writes."""
    path = tmp_path / "template.yaml"
    path.write_text(template_text)
    return path
