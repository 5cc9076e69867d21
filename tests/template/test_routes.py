"""The routes, their authorizer and the permissions to invoke functions, according to SAM's transform."""

import pytest

from checks.template.endpoints import in_vpc
from local_stack.template_file import Template, of_type
from tests.support.templates import STACK as TEMPLATE
from tests.template.test_release import transformed_base

PUBLIC = {("get", "/console"), ("get", "/console/{asset+}"), ("options", "/api/v1/{proxy+}")}
"""The console's files, and a browser's preflight request. Neither has a token, and neither returns data."""


@pytest.fixture
def deployed() -> Template:
    return transformed_base()


def test_every_route_but_the_public_ones_requires_a_token(deployed: Template) -> None:
    (api,) = of_type(deployed, "AWS::ApiGateway::RestApi").values()
    secured = {
        (method, path): operation["security"]
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
    }
    assert len(secured) > len(PUBLIC) + 15
    assert {route for route, security in secured.items() if security == [{"NONE": []}]} == PUBLIC
    others = [security for route, security in secured.items() if route not in PUBLIC]
    assert all(security == [{"BearerToken": []}] for security in others)
    (authorizer,) = api["Body"]["components"]["securitySchemes"].values()
    function = authorizer["x-amazon-apigateway-authorizer"]["authorizerUri"]["Fn::Sub"][1]
    assert function == {"__FunctionArn__": {"Ref": "AuthorizeRequestFunctionAliaslive"}}


def test_every_route_has_one_path_for_each_of_its_names(deployed: Template) -> None:
    """API Gateway refuses two parameters with different names in the same place."""
    (api,) = of_type(deployed, "AWS::ApiGateway::RestApi").values()
    named: dict[str, set[str]] = {}
    for path in api["Body"]["paths"]:
        parts = path.split("/")
        for place, part in enumerate(parts):
            if part.startswith("{") and not part.endswith("+}"):
                named.setdefault("/".join(parts[:place]), set()).add(part)
    assert named
    assert all(len(names) == 1 for names in named.values()), named


def test_services_invoke_the_alias_and_only_for_this_stack(deployed: Template) -> None:
    permissions = of_type(deployed, "AWS::Lambda::Permission")
    assert len(permissions) > 20
    for name, permission in permissions.items():
        assert permission["FunctionName"]["Ref"].endswith("Aliaslive"), f"{name}: else a release is passed by"
        assert permission["SourceArn"], f"{name}: else any API or rule may invoke it"
    targets = [
        target for rule in of_type(deployed, "AWS::Events::Rule").values() for target in rule["Targets"]
    ]
    asleep = set(in_vpc(TEMPLATE)) | {
        name for name, each in of_type(TEMPLATE, "AWS::Serverless::Function").items() if "SnapStart" in each
    }
    # The record of a key at risk goes to a queue.
    kept = {target["Arn"]["Ref"] for target in targets if "Ref" in target["Arn"]}
    assert kept == {f"{name}Aliaslive" for name in asleep}, "else Lambda deactivates it after idle weeks"


def test_no_alarm_stops_a_deployment_of_all_at_once(deployed: Template) -> None:
    groups = of_type(deployed, "AWS::CodeDeploy::DeploymentGroup")
    assert len(groups) == 4
    for group in groups.values():
        condition, gradual, at_once = group["AlarmConfiguration"]["Fn::If"]
        assert condition == "ShiftsTraffic"
        alarms = [alarm["Name"]["Ref"] for alarm in gradual["Alarms"]]
        assert (gradual["Enabled"], alarms) == (True, ["ApiErrorsAlarm", "ApiUnauthorizedAlarm"])
        assert at_once == {}
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
