"""Each change of a release reaches every alias, according to SAM's transform of the template.

The tests cover every function and every parameter of the template by construction.
"""

import functools
from collections.abc import Mapping
from typing import Any

import pytest

from checks.template.concrete import concrete, references
from checks.template.sam_transform import Deployment, accepted, packaged
from local_stack.template_file import Template, of_type
from release.stamp import parameters_of, release_of, stamped
from tests.support.templates import FUNCTIONS as OF_TEMPLATE
from tests.support.templates import STACK as TEMPLATE

COMMIT = "1234567890ab"
PARAMETERS = sorted(TEMPLATE["Parameters"])
FUNCTIONS = OF_TEMPLATE.keys()
LAYERS = of_type(TEMPLATE, "AWS::Serverless::LayerVersion").keys()
# The transform ignores values, except those that determine which resources SAM creates.
BASE = {name: value or "given" for name, value in parameters_of(TEMPLATE, {}).items()}


def released(parameters: Mapping[str, str], commit: str = COMMIT) -> Deployment:
    return Deployment(stamped(packaged(TEMPLATE), release_of(commit, TEMPLATE, parameters)), parameters)


def live_versions(template: Template) -> dict[str, str]:
    """The logical id of the version that each function's alias points to, by the function's logical id."""
    return {
        alias["Properties"]["FunctionName"]["Ref"]: alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        for alias in template["Resources"].values()
        if alias["Type"] == "AWS::Lambda::Alias"
    }


def another(name: str) -> str:
    """A value of a parameter that differs from the base's value."""
    allowed = [str(value) for value in TEMPLATE["Parameters"][name].get("AllowedValues", [])]
    return next((value for value in allowed if value != BASE[name]), "7")


@functools.cache
def deployed() -> dict[str, dict[str, str]]:
    """The versions behind the aliases, by deployment."""
    release = release_of(COMMIT, TEMPLATE, BASE)
    deployments = {
        "base": released(BASE),
        "again": released(BASE),
        "commit": released(BASE, commit="ba0987654321"),
        **{f"parameter {name}": released(BASE | {name: another(name)}) for name in PARAMETERS},
        **{
            f"unreleased {name}": Deployment(released(BASE).template, BASE | {name: another(name)})
            for name in PARAMETERS
        },
        **{
            f"layer {layer}": Deployment(stamped(packaged(TEMPLATE, {layer: "changed"}), release), BASE)
            for layer in LAYERS
        },
    }
    return dict(zip(deployments, map(live_versions, accepted(list(deployments.values()))), strict=True))


def changed(name: str) -> set[str]:
    base, after = deployed()["base"], deployed()[name]
    return {function for function in base if base[function] != after[function]}


def test_every_function_is_published_behind_an_alias() -> None:
    assert deployed()["base"].keys() == FUNCTIONS


def test_the_same_release_publishes_nothing() -> None:
    assert changed("again") == set()


@functools.cache
def transformed_base() -> Template:
    """The template that CloudFormation receives. No test may change it."""
    (template,) = accepted([released(BASE)])
    return template


def versioned(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parts that a version of a function or of the state machine keeps, with the values of parameters."""
    resources = concrete(transformed_base(), parameters, "stack")["Resources"]
    kept = {
        name: {key: value for key, value in each["Properties"].items() if key not in NOT_OF_A_VERSION}
        for name, each in resources.items()
        if each["Type"] in ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
    }
    del kept["MigrateDatabaseFunction"]["Environment"]["Variables"]["SCHEMA_REVISION"]
    return kept


NOT_OF_A_VERSION = {"ReservedConcurrentExecutions"}
"""A property of a function that all its versions share, and that needs no new one."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_changed_parameter_reaches_every_alias_if_a_version_has_it(name: str) -> None:
    bases = (BASE, BASE | {"LinkCheck": "true"})  # with a check of links, another one is not given
    reaches = any(versioned(base) != versioned(base | {name: another(name)}) for base in bases)
    assert changed(f"parameter {name}") == (FUNCTIONS if reaches else set())


def test_a_new_commit_reaches_every_alias() -> None:
    assert changed("commit") == FUNCTIONS


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_new_code_reaches_every_alias_that_uses_it_also_without_a_new_release(layer: str) -> None:
    common: list[Any] = TEMPLATE["Globals"]["Function"]["Layers"]
    users = {
        logical_id
        for logical_id in FUNCTIONS
        if {"Ref": layer} in [*common, *TEMPLATE["Resources"][logical_id]["Properties"].get("Layers", [])]
    }
    assert users
    assert changed(f"layer {layer}") == users


def test_sam_alone_does_not_publish_for_a_parameter() -> None:
    """The reason for the release in the template. If this test fails, SAM does it itself, and the release is
    not needed.
    """
    assert {name for name in PARAMETERS if changed(f"unreleased {name}")} == set()


def test_a_template_without_a_place_for_the_release_is_refused() -> None:
    with pytest.raises(KeyError):
        stamped({"Globals": {"Function": {}}, "Resources": {}}, "r")


def functions_change_after(logical_id: str, template: Template) -> set[str]:
    """The functions that CloudFormation updates after a resource, according to the references."""
    resources = template["Resources"]

    def waits(name: str) -> bool:
        seen, waiting = set(), [name]
        while waiting:
            current = waiting.pop()
            if current == logical_id:
                return True
            if current in resources and current not in seen:
                seen.add(current)
                waiting += set(references(resources[current].get("Properties", {})))
        return False

    functions = {name for name, each in resources.items() if each["Type"] == "AWS::Lambda::Function"}
    return {name for name in functions if waits(name)}


def test_every_function_but_the_one_that_migrates_changes_after_the_schema() -> None:
    template = transformed_base()
    assert functions_change_after("Schema", template) == FUNCTIONS - {"MigrateDatabaseFunction"}
    token = template["Resources"]["Schema"]["Properties"]["ServiceToken"]
    assert token == {"Ref": "MigrateDatabaseFunctionAliaslive"}, "else the migration before would run"


def test_the_schema_is_deployed_with_every_parameter_of_a_version_and_every_layer() -> None:
    schema = TEMPLATE["Resources"]["Schema"]["Properties"]
    of_versions = {name for name in PARAMETERS if changed(f"parameter {name}")}
    assert {each["Ref"] for each in schema["Settings"]} == of_versions
    assert {each["Ref"] for each in schema["Code"]} == LAYERS
