"""The SAM CLI's options, and the template and the state machine's definition for tests that break them."""

import copy
from collections.abc import Iterator

import pytest

from local_stack.template_file import Template
from tests.support.templates import STACK
from tests.template.sam_cli import DeployOptions, deploy_options


@pytest.fixture(scope="session")
def read_deploy_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployOptions]:
    """Reads the options of a `sam deploy` command line with the real SAM CLI."""
    with deploy_options(tmp_path_factory.mktemp("sam")) as read:
        yield read


@pytest.fixture
def template() -> Template:
    """The template, which a test may change."""
    return copy.deepcopy(STACK)
