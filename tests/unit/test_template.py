"""Requirements of the template that no linter checks."""

import json
import re
import tomllib
from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.layers import LAYERS
from local_stack.template_file import read_template
from roadmap_content.items import ContentType
from roadmap_content.runtime.metrics import Metric

TEMPLATE = read_template(REPOSITORY / "template.yaml")
NAMESPACE = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]


def resources(kind: str) -> dict[str, Any]:
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == kind
    }


FUNCTIONS = resources("AWS::Serverless::Function")


def dashboard() -> list[dict[str, Any]]:
    (properties,) = resources("AWS::CloudWatch::Dashboard").values()
    widgets: list[dict[str, Any]] = json.loads(properties["DashboardBody"]["Fn::Sub"])["widgets"]
    return widgets


def shown() -> set[tuple[str, str | None]]:
    """The metrics on the dashboard, with their content type."""
    return {
        (metric[1], metric[metric.index("content_type") + 1] if "content_type" in metric else None)
        for widget in dashboard()
        for metric in widget["properties"]["metrics"]
        if metric[0] == NAMESPACE
    }


def test_every_function_has_its_own_role() -> None:
    roles = [properties["Role"]["Fn::GetAtt"][0] for properties in FUNCTIONS.values()]
    assert len(set(roles)) == len(roles)
    assert roles == [logical_id.replace("Function", "Role") for logical_id in FUNCTIONS]


@pytest.mark.parametrize(
    ("logical_id", "role"),
    [
        ("SaveContentStateMachine", "SaveContentRole"),
        ("RecoverTasksStateMachine", "RecoverTasksMachineRole"),
    ],
)
def test_a_state_machine_may_only_invoke_the_aliases_that_it_uses(logical_id: str, role: str) -> None:
    machine = resources("AWS::Serverless::StateMachine")[logical_id]
    substitutions = machine["DefinitionSubstitutions"]
    aliases = [value for name, value in substitutions.items() if name.endswith("Function")]
    assert aliases == [{"Ref": f"{name}.Alias"} for name in substitutions if name.endswith("Function")]
    policy = TEMPLATE["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]
    invoke = [each for each in policy["Statement"] if each["Action"] == "lambda:InvokeFunction"]
    assert [each["Resource"] for each in invoke] == [aliases]


def test_the_api_may_start_and_redrive_only_this_state_machine() -> None:
    policy = TEMPLATE["Resources"]["TaskApiRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    start, look = (each for each in policy["Statement"] if "states:" in str(each["Action"]))
    machine = FUNCTIONS["TaskApiFunction"]["Environment"]["Variables"]["STATE_MACHINE_ARN"]
    assert (start["Action"], start["Resource"]) == ("states:StartExecution", machine)
    assert "states:RedriveExecution" in look["Action"]
    executions = machine["Fn::Sub"].replace(":stateMachine:", ":execution:") + ":*"
    assert look["Resource"] == {"Fn::Sub": executions}


def test_the_concurrency_of_savers_is_limited_by_database_connections() -> None:
    reserved = FUNCTIONS["SaveBatchFunction"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["ReservesSavers", {"Ref": "SaverConcurrency"}, {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize("logical_id", resources("AWS::Logs::LogGroup"))
def test_logs_are_encrypted_and_have_a_retention(logical_id: str) -> None:
    properties = resources("AWS::Logs::LogGroup")[logical_id]
    assert properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert properties["KmsKeyId"] == {"Fn::GetAtt": ["ContentKey", "Arn"]}


def test_the_state_machine_logs_no_content() -> None:
    for machine in resources("AWS::Serverless::StateMachine").values():
        assert machine["Logging"]["IncludeExecutionData"] is False


def test_objects_that_a_redrive_needs_are_kept_for_90_days() -> None:
    (bucket,) = resources("AWS::S3::Bucket").values()
    expiring = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    assert expiring == {"staged/": {"Ref": "StagedRetentionDays"}, "manifests/": 90}
    assert TEMPLATE["Parameters"]["StagedRetentionDays"]["MinValue"] >= 90


def test_every_alarm_notifies_the_topic() -> None:
    told = {"Fn::If": ["TellsAlarms", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    alarms = resources("AWS::CloudWatch::Alarm")
    assert alarms.keys() == {
        "ExecutionsFailedAlarm",
        "ExecutionsTimedOutAlarm",
        "FinalizerErrorsAlarm",
        "ItemsMissingAlarm",
        "TasksRepairedAlarm",
        "DatabaseErrorsAlarm",
        "DeadLettersAlarm",
        "ApiErrorsAlarm",
        "SaverThrottlesAlarm",
        "RecoveriesStoppedAlarm",
        "RecoveriesTakenUpAlarm",
        "AutomaticAttemptsRefusedAlarm",
    }
    assert all(alarm["AlarmActions"] == alarm["OKActions"] == told for alarm in alarms.values())
    assert all(alarm["TreatMissingData"] == "notBreaching" for alarm in alarms.values())


def test_alarms_use_metrics_that_exist() -> None:
    watched = {
        alarm["MetricName"]
        for alarm in resources("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == NAMESPACE
    }
    assert watched == {
        Metric.ITEMS_MISSING,
        Metric.TASKS_REPAIRED,
        Metric.DATABASE_ERRORS,
        Metric.RECOVERIES_STOPPED,
        Metric.RECOVERIES_TAKEN_UP,
        Metric.AUTOMATIC_ATTEMPTS_REFUSED,
    }


def test_the_dashboard_shows_exactly_the_existing_metrics() -> None:
    assert {metric for metric, _ in shown()} == set(Metric)


def test_the_dashboard_shows_all_content_types() -> None:
    typed = {metric for metric, content_type in shown() if content_type is not None}
    assert {(metric, str(content_type)) for metric in typed for content_type in ContentType} == {
        (metric, content_type) for metric, content_type in shown() if content_type is not None
    }


def test_widgets_do_not_overlap() -> None:
    places = [(widget["x"], widget["y"], widget["width"], widget["height"]) for widget in dashboard()]
    cells = [
        (column, row)
        for x, y, width, height in places
        for column in range(x, x + width)
        for row in range(y, y + height)
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24


def test_the_layers_equal_the_locally_built_ones() -> None:
    layers = resources("AWS::Serverless::LayerVersion")
    assert {
        logical_id: str(layer.source.relative_to(REPOSITORY)) for logical_id, layer in LAYERS.items()
    } == {logical_id: properties["ContentUri"] for logical_id, properties in layers.items()}


def test_every_parameter_has_a_description() -> None:
    silent = [name for name, parameter in TEMPLATE["Parameters"].items() if not parameter.get("Description")]
    assert silent == []


def test_every_parameter_is_used() -> None:
    text = (REPOSITORY / "template.yaml").read_text()
    used = set(re.findall(r"!Ref (\w+)", text)) | set(re.findall(r"\$\{(\w+)\}", text))
    assert TEMPLATE["Parameters"].keys() <= used


SAMCONFIG = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())


@pytest.mark.parametrize("name", ["default", "dev", "prod"])
def test_every_configuration_uses_cached_builds_and_linting(name: str) -> None:
    config = {command: each["parameters"] for command, each in SAMCONFIG[name].items()}
    assert config["build"] == {"cached": True, "parallel": True}
    assert config["validate"]["lint"] is True
    overrides = config["deploy"].get("parameter_overrides", "").split()
    assert {override.partition("=")[0] for override in overrides} <= TEMPLATE["Parameters"].keys()


def test_a_deployment_to_production_confirms_the_change_set() -> None:
    assert SAMCONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True
    names = [SAMCONFIG[name]["global"]["parameters"]["stack_name"] for name in ("default", "dev", "prod")]
    assert len(set(names)) == len(names)
