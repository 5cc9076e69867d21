"""Faults in the state machine's definition are detected by the linters or by the template check."""

import json
from pathlib import Path
from typing import Any

import pytest

from checks.template.linters import lint_state_machine
from checks.template.statemachine import check_substitutions
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template


def test_the_template_defines_the_substitutions_of_the_definition(template: Template) -> None:
    assert list(check_substitutions(template, REPOSITORY)) == []


def test_an_undefined_substitution_is_reported(template: Template) -> None:
    del template["Resources"]["SaveContentStateMachine"]["Properties"]["DefinitionSubstitutions"][
        "FinalizeTaskFunction"
    ]
    assert [str(finding) for finding in check_substitutions(template, REPOSITORY)] == [
        "SaveContentStateMachine: ${FinalizeTaskFunction} is used in the definition and not defined"
    ]


def test_an_unused_substitution_is_reported(template: Template) -> None:
    properties = template["Resources"]["SaveContentStateMachine"]["Properties"]
    properties["DefinitionSubstitutions"]["Other"] = "x"
    assert [str(finding) for finding in check_substitutions(template, REPOSITORY)] == [
        "SaveContentStateMachine: ${Other} is defined and not used in the definition"
    ]


def linted(tmp_path: Path, definition: str) -> str:
    path = tmp_path / "broken.asl.json"
    path.write_text(definition)
    return "\n".join(str(finding) for finding in lint_state_machine(path))


@pytest.mark.parametrize("name", ["save_content"])
def test_the_definition_has_no_findings(tmp_path: Path, name: str) -> None:
    assert linted(tmp_path, (REPOSITORY / f"statemachine/{name}.asl.json").read_text()) == ""


def test_a_transition_to_an_undefined_state_is_found(tmp_path: Path, definition: str) -> None:
    machine: dict[str, Any] = json.loads(definition)
    machine["States"]["FanOut"]["Next"] = "Finalise"
    assert "Finalise" in linted(tmp_path, json.dumps(machine))


def test_an_unreachable_state_is_found(tmp_path: Path, definition: str) -> None:
    machine: dict[str, Any] = json.loads(definition)
    machine["States"]["Forgotten"] = {"Type": "Succeed"}
    assert "Forgotten" in linted(tmp_path, json.dumps(machine))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("{% $states.result.Payload %}", "{% $states.result.Payload[ %}"),
        ("{% $states.input.complete %}", "{% $states.input.complete ? %}"),
    ],
)
def test_invalid_jsonata_is_found(tmp_path: Path, definition: str, right: str, wrong: str) -> None:
    assert right in definition
    assert linted(tmp_path, definition.replace(right, wrong)) != ""


def test_a_jsonpath_field_is_found(tmp_path: Path, definition: str) -> None:
    machine: dict[str, Any] = json.loads(definition)
    machine["States"]["Finalize"]["ResultPath"] = "$.result"
    assert "ResultPath" in linted(tmp_path, json.dumps(machine))
