"""The template that CloudFormation receives from SAM: each mistake in a derived value is found."""

import re

import pytest

from checks.template.concrete import concrete
from checks.template.deployments import Deployed, deployments_of
from checks.template.sam_transform import Deployment, accepted, packaged
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, of_type
from roadmap_content.platform.storage.keys import REJECTED, STAGED, WORKING
from tests.support.templates import STACK as TEMPLATE

BY_NAME = {each.name: each for each in deployments_of(TEMPLATE, REPOSITORY / "samconfig.toml")}
PROD = BY_NAME["prod"]


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


@pytest.mark.parametrize("domain", ["", "api.example"])
def test_a_domain_is_the_only_name_of_the_api(domain: str) -> None:
    given = {**PROD.parameters, "DomainName": domain, "DomainCertificateArn": "arn" * bool(domain)}
    (api,) = of_type(as_deployed(PROD._replace(parameters=given)), "AWS::ApiGateway::RestApi").values()
    (server,) = api["Body"]["servers"]
    endpoint = server["x-amazon-apigateway-endpoint-configuration"]
    assert endpoint["disableExecuteApiEndpoint"] is bool(domain)
