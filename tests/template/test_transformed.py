"""The template that CloudFormation receives from SAM: each mistake in a derived value is found."""

import copy
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from checks.template.concrete import concrete
from checks.template.deployments import Deployed, deployments_of
from checks.template.sam_transform import Deployment, accepted, packaged
from checks.template.transformed import check_transformed
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, of_type
from roadmap_content.platform.storage.keys import REJECTED, STAGED, WORKING
from tests.support.templates import STACK as TEMPLATE

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
    "a layer that is deleted": Mistake(
        resource("CommonLayer", "RetentionPolicy", "Delete"), "no rollback is possible"
    ),
    "a log level that Lambda does not have": Mistake(
        put("Mappings", "LogLevels", "WARNING", "Lambda", "WARNING"),
        "'WARNING' is not one of",
        parameters={"LogLevel": "WARNING"},
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


# docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html, for AWS Lambda.
CONFIGURATIONS = re.compile(
    r"CodeDeployDefault\.Lambda"
    r"(AllAtOnce|Canary10Percent(5|10|15|30)Minutes|Linear10PercentEvery(1Minute|(2|3|10)Minutes))"
)


@pytest.mark.parametrize("value", TEMPLATE["Parameters"]["ApiDeployment"]["AllowedValues"])
def test_every_value_makes_a_configuration_of_codedeploy(value: str) -> None:
    deployed = PROD._replace(parameters={**PROD.parameters, "ApiDeployment": value})
    groups = of_type(as_deployed(deployed), "AWS::CodeDeploy::DeploymentGroup").values()
    assert groups
    assert all(CONFIGURATIONS.fullmatch(group["DeploymentConfigName"]) for group in groups)


def test_staged_and_rejected_content_expires_after_the_parameter_s_days() -> None:
    deployed = PROD._replace(parameters={**PROD.parameters, "StagedRetentionDays": "112"})
    (bucket,) = of_type(as_deployed(deployed), "AWS::S3::Bucket").values()
    days = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if rule["Status"] == "Enabled" and "ExpirationInDays" in rule
    }
    assert days[STAGED] == days[REJECTED] == "112"
    assert days.keys() == {*WORKING}
