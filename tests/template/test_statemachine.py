"""A fault of the state machine's definition is found, by one of two linters or by the template."""

import json
from pathlib import Path
from typing import Any

import pytest

from checks.template.linters import lint_state_machine
from checks.template.statemachine import check_substitutions
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template


def test_the_template_gives_what_the_definition_names(template: Template) -> None:
    assert list(check_substitutions(template, REPOSITORY)) == []


def test_a_substitution_that_is_not_given_is_named(template: Template) -> None:
    del template["Resources"]["SaveContentStateMachine"]["Properties"]["DefinitionSubstitutions"][
        "FinalizeTaskFunction"
    ]
    assert [str(finding) for finding in check_substitutions(template, REPOSITORY)] == [
        "SaveContentStateMachine: ${FinalizeTaskFunction} is in the definition and not given"
    ]


def test_a_substitution_that_is_not_used_is_named(template: Template) -> None:
    properties = template["Resources"]["SaveContentStateMachine"]["Properties"]
    properties["DefinitionSubstitutions"]["Other"] = "x"
    assert [str(finding) for finding in check_substitutions(template, REPOSITORY)] == [
        "SaveContentStateMachine: ${Other} is given and not in the definition"
    ]


def linted(tmp_path: Path, definition: str) -> str:
    path = tmp_path / "broken.asl.json"
    path.write_text(definition)
    return "\n".join(str(finding) for finding in lint_state_machine(path))


def test_the_definition_is_without_fault(tmp_path: Path, definition: str) -> None:
    assert linted(tmp_path, definition) == ""


def test_a_transition_to_nowhere_is_found(tmp_path: Path, definition: str) -> None:
    machine: dict[str, Any] = json.loads(definition)
    machine["States"]["FanOut"]["Next"] = "Finalise"
    assert "Finalise" in linted(tmp_path, json.dumps(machine))


def test_a_state_that_nothing_leads_to_is_found(tmp_path: Path, definition: str) -> None:
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
def test_jsonata_that_cannot_be_parsed_is_found(
    tmp_path: Path, definition: str, right: str, wrong: str
) -> None:
    assert right in definition
    assert linted(tmp_path, definition.replace(right, wrong)) != ""


def test_a_field_of_the_other_query_language_is_found(tmp_path: Path, definition: str) -> None:
    machine: dict[str, Any] = json.loads(definition)
    machine["States"]["Finalize"]["ResultPath"] = "$.result"
    assert "ResultPath" in linted(tmp_path, json.dumps(machine))
