"""The template that CloudFormation receives from SAM: each mistake in a derived value is found."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from checks.template.concrete import concrete
from checks.template.deployments import Deployed, deployments_of
from checks.template.derived import RULES, derived_in
from checks.template.sam_transform import Deployment, accepted, packaged
from checks.template.transformed import check_transformed
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

TEMPLATE = read_template(REPOSITORY / "template.yaml")
BY_NAME = {each.name: each for each in deployments_of(TEMPLATE, REPOSITORY / "samconfig.toml")}
PROD = BY_NAME["prod"]
WITH_A_BUCKET = BY_NAME["staging, ContentBucketName=the-products-bucket"]


class Mistake(NamedTuple):
    """A change of the template that CloudFormation or a service would refuse, and a word of its finding."""

    change: Callable[[Template], None]
    found: str
    deployed: Deployed = PROD
    parameters: dict[str, str] = {}  # noqa: RUF012 - never written to


def put(*path: Any) -> Callable[[Template], None]:
    """Set a value of the template: the last of `path`, which is where the others lead."""
    *keys, name, value = path

    def change(template: Template) -> None:
        part = template
        for key in keys:
            part = part[key]
        part[name] = value

    return change


def resource(name: str, *path: Any) -> Callable[[Template], None]:
    """Set a value of a resource's properties."""
    return put("Resources", name, "Properties", *path)


MISTAKES = {
    "a CodeDeploy configuration that does not exist": Mistake(
        put("Parameters", "ApiDeployment", "AllowedValues", ["LambdaCanary10Percent5Minutes"]),
        "DeploymentConfigName is 'LambdaCanary10Percent5Minutes'",
        parameters={"ApiDeployment": "LambdaCanary10Percent5Minutes"},
    ),
    "eleven alarms of a deployment": Mistake(
        resource("TaskApiFunction", "DeploymentPreference", "Alarms", [{"Ref": "ApiErrorsAlarm"}] * 11),
        "AlarmConfiguration",
    ),
    "an alias of 129 characters": Mistake(
        put("Globals", "Function", "AutoPublishAlias", "a" * 129), "Alias.Name"
    ),
    "a layer that is deleted": Mistake(
        resource("CommonLayer", "RetentionPolicy", "Delete"), "no rollback is possible"
    ),
    "a layer's name with a space": Mistake(resource("CommonLayer", "LayerName", "our layer"), "LayerName"),
    "three repetitions of an event": Mistake(
        resource("ReconcileTaskFunction", "EventInvokeConfig", "MaximumRetryAttempts", 3),
        "MaximumRetryAttempts",
    ),
    "a schedule in the plural": Mistake(
        resource("ReconcileTaskFunction", "Events", "Sweep", "Properties", "Schedule", "rate(1 minutes)"),
        "ScheduleExpression",
    ),
    "a target's id with a space": Mistake(
        resource(
            "ReconcileTaskFunction", "Events", "ExecutionEnded", "Properties", "Target", {"Id": "our target"}
        ),
        "Rule.Targets",
    ),
    "a stage with a space": Mistake(resource("TasksApi", "StageName", "the stage"), "StageName"),
    "an answer of the authorizer kept for two hours": Mistake(
        resource("TasksApi", "Auth", "Authorizers", "BearerToken", "Identity", "ReauthorizeEvery", 7200),
        "RestApi.Body",
    ),
    "a path parameter with a space": Mistake(
        resource("TaskApiFunction", "Events", "GetTask", "Properties", "Path", "/api/v1/tasks/{task id}"),
        "RestApi.Body",
    ),
    "a limit of a path that does not exist": Mistake(
        resource("TasksApi", "MethodSettings", 1, "ResourcePath", "/~1konsole"), "MethodSettings"
    ),
    "a state machine's name with a dot": Mistake(
        resource("SaveContentStateMachine", "Name", {"Fn::Sub": "${AWS::StackName}.save"}), "StateMachineName"
    ),
    "a canary of all executions": Mistake(
        resource(
            "SaveContentStateMachine",
            "DeploymentPreference",
            {"Type": "CANARY", "Percentage": 100, "Interval": 5},
        ),
        "DeploymentPreference",
    ),
    "a log level that Lambda does not have": Mistake(
        put("Mappings", "LogLevels", "WARNING", "Lambda", "WARNING"),
        "'WARNING' is not one of",
        parameters={"LogLevel": "WARNING"},
    ),
    "days that CloudWatch does not have": Mistake(
        put("Parameters", "LogRetentionDays", "AllowedValues", [10]),
        "'10' is not one of",
        parameters={"LogRetentionDays": "10"},
    ),
    "a reference to a bucket that is not created": Mistake(
        put("Outputs", "ContentBucket", "Value", {"Ref": "ContentBucket"}),
        "refers to ContentBucket, which does not exist",
        WITH_A_BUCKET,
    ),
    "a route without an authorizer that exists": Mistake(
        resource("TaskApiFunction", "Events", "GetTask", "Properties", "Auth", {"Authorizer": "Token"}),
        "SAM refuses the template",
    ),
}


@pytest.fixture(scope="module")
def findings() -> dict[str, list[str]]:
    """The findings of each mistake, by its name. The right template is checked before them."""
    deployments = [(TEMPLATE, PROD), (TEMPLATE, WITH_A_BUCKET)]
    for name, mistake in MISTAKES.items():
        template = copy.deepcopy(TEMPLATE)
        mistake.change(template)
        parameters = {**mistake.deployed.parameters, **mistake.parameters}
        deployments.append((template, mistake.deployed._replace(name=name, parameters=parameters)))
    found: dict[str, list[str]] = {}
    for finding in check_transformed(deployments):
        deployed, _, _ = finding.place.partition(": ")
        found.setdefault(deployed, []).append(f"{finding.place}: {finding.fault}")
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_derived_value_is_found(name: str, findings: dict[str, list[str]]) -> None:
    assert any(MISTAKES[name].found in finding for finding in findings.get(name, [])), findings


@pytest.mark.nightly
def test_nothing_else_is_found(findings: dict[str, list[str]]) -> None:
    assert findings.keys() <= MISTAKES.keys()


def as_deployed(deployed: Deployed) -> Template:
    (template,) = accepted([Deployment(packaged(TEMPLATE), deployed.parameters)])
    return concrete(template, deployed.parameters, deployed.stack_name)


def properties(template: Template, kind: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == kind]


def test_production_is_deployed_by_a_canary_of_codedeploy() -> None:
    groups = properties(as_deployed(PROD), "AWS::CodeDeploy::DeploymentGroup")
    assert {group["DeploymentConfigName"] for group in groups} == {
        "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    }


def test_rejected_content_expires_after_the_parameter_s_days() -> None:
    deployed = PROD._replace(parameters={**PROD.parameters, "RejectedRetentionDays": "12"})
    (bucket,) = properties(as_deployed(deployed), "AWS::S3::Bucket")
    days = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if rule["Status"] == "Enabled" and "ExpirationInDays" in rule
    }
    assert days["rejected/"] == "12"
    assert days.keys() == {"staged/", "manifests/", "rejected/"}


def test_every_rule_has_a_property_that_sam_derives() -> None:
    used = {(kind, name) for _, kind, name, _ in derived_in(TEMPLATE, as_deployed(PROD))}
    assert RULES.keys() - used == set()
