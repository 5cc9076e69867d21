"""The AWS CLI, and copies of the template and of the state machine's definition for tests that break them."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template
from tests.template.following import aws_cli

_TEMPLATE = read_template(REPOSITORY / "template.yaml")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the AWS CLI, in which a document's commands are followed."""
    with aws_cli(tmp_path_factory.mktemp("cli")) as folder:
        yield folder


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
