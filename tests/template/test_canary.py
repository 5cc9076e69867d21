"""A state machine's alias gets a new release gradually, and an alarm stops it: SAM's transform, evaluated."""

import functools
from typing import Any

import pytest

from checks.template.concrete import concrete
from checks.template.sam_transform import accepted
from local_stack.template_file import Template
from tests.template.test_release import BASE, released

MACHINES = ("SaveContentStateMachine",)


@functools.cache
def deployed() -> Template:
    (template,) = accepted([released(BASE)])
    return template


def resources_with(**given: str) -> dict[str, Any]:
    resources: dict[str, Any] = concrete(deployed(), BASE | given, "stack")["Resources"]
    return resources


def preference(machine: str, deployment: str) -> dict[str, Any]:
    """The alias's deployment preference with a value of `ApiDeployment`."""
    resources = resources_with(ApiDeployment=deployment)
    found: dict[str, Any] = resources[f"{machine}Aliaslive"]["Properties"]["DeploymentPreference"]
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_a_tenth_of_the_runs_tries_a_release_first(machine: str) -> None:
    for deployment in deployed()["Parameters"]["ApiDeployment"]["AllowedValues"]:
        if deployment != "AllAtOnce":
            assert preference(machine, deployment) == {
                "Type": "CANARY",
                "Percentage": 10,
                "Interval": 15,
                "Alarms": [{"Ref": "StepErrorsAlarm"}, {"Ref": "ItemsRefusedAlarm"}],
                "StateMachineVersionArn": {"Ref": f"{machine}Version"},
            }


@pytest.mark.parametrize("machine", MACHINES)
def test_all_at_once_no_alarm_stops_a_fix(machine: str) -> None:
    """And no property that CloudFormation refuses with this type."""
    version = {"Ref": f"{machine}Version"}
    assert preference(machine, "AllAtOnce") == {"Type": "ALL_AT_ONCE", "StateMachineVersionArn": version}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_alarms_watch_the_functions_of_the_machine(machine: str) -> None:
    resources = resources_with()
    alarm = resources["StepErrorsAlarm"]["Properties"]
    watched = {
        each["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]
        for each in alarm["Metrics"]
        if each.get("MetricStat", {}).get("Metric", {}).get("MetricName") == "Errors"
    }
    substitutions = resources[machine]["Properties"]["DefinitionSubstitutions"]
    steps = {name for name in substitutions if name.endswith("Function")}
    assert steps - watched == {"AwaitRedriveFunction"}, "it ends an incomplete run with an error"
