"""A state machine's alias gets a new release gradually, and an alarm stops it: SAM's transform, evaluated."""

from typing import Any

from checks.template.concrete import concrete
from tests.template.test_release import BASE, transformed_base

MACHINE = "SaveContentStateMachine"


def resources_with(**given: str) -> dict[str, Any]:
    resources: dict[str, Any] = concrete(transformed_base(), BASE | given, "stack")["Resources"]
    return resources


def preference(deployment: str) -> dict[str, Any]:
    """The alias's deployment preference with a value of `ApiDeployment`."""
    resources = resources_with(ApiDeployment=deployment)
    found: dict[str, Any] = resources[f"{MACHINE}Aliaslive"]["Properties"]["DeploymentPreference"]
    return found


def test_a_tenth_of_the_runs_tries_a_release_first() -> None:
    for deployment in transformed_base()["Parameters"]["ApiDeployment"]["AllowedValues"]:
        if deployment != "AllAtOnce":
            assert preference(deployment) == {
                "Type": "CANARY",
                "Percentage": 10,
                "Interval": 15,
                "Alarms": [{"Ref": "StepErrorsAlarm"}, {"Ref": "ItemsRefusedAlarm"}],
                "StateMachineVersionArn": {"Ref": f"{MACHINE}Version"},
            }


def test_all_at_once_no_alarm_stops_a_fix() -> None:
    """And no property that CloudFormation refuses with this type."""
    version = {"Ref": f"{MACHINE}Version"}
    assert preference("AllAtOnce") == {"Type": "ALL_AT_ONCE", "StateMachineVersionArn": version}


def test_the_alarms_watch_the_functions_of_the_machine() -> None:
    resources = resources_with()
    alarm = resources["StepErrorsAlarm"]["Properties"]
    watched = {
        each["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]
        for each in alarm["Metrics"]
        if each.get("MetricStat", {}).get("Metric", {}).get("MetricName") == "Errors"
    }
    substitutions = resources[MACHINE]["Properties"]["DefinitionSubstitutions"]
    steps = {name for name in substitutions if name.endswith("Function")}
    assert steps - watched == {"AwaitRedriveFunction"}, "it ends an incomplete run with an error"
