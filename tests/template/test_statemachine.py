"""Faults in the state machine's definition are detected by the linters or by the template check."""

from pathlib import Path

import pytest

from checks.template.linters import lint_state_machine
from checks.template.statemachine import check_substitutions
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template


def test_the_template_defines_the_substitutions_of_the_definition(template: Template) -> None:
    assert list(check_substitutions(template, REPOSITORY)) == []


def linted(tmp_path: Path, definition: str) -> str:
    path = tmp_path / "broken.asl.json"
    path.write_text(definition)
    return "\n".join(str(finding) for finding in lint_state_machine(path))


@pytest.mark.parametrize("name", ["save_content"])
def test_the_definition_has_no_findings(tmp_path: Path, name: str) -> None:
    assert linted(tmp_path, (REPOSITORY / f"statemachine/{name}.asl.json").read_text()) == ""
