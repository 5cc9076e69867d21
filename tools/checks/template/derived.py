"""Rules for the properties with values that SAM derives.

CloudFormation reads these values only during a deployment, and no linter of the source sees them. A derived
property without a rule is a finding.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local_stack.template_file import Template

from .concrete import references

Rule = Callable[[Any, Mapping[str, Any]], bool]
"""Whether a value is right, among all resources of the deployment."""


def matches(pattern: str) -> Rule:
    """A text of this pattern, as a whole."""
    return lambda value, _: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(*allowed: Any) -> Rule:  # noqa: ANN401
    """One of these values."""
    return lambda value, _: value in allowed


def between(low: int, high: int) -> Rule:
    """A number in this range."""
    return lambda value, _: str(value).isdigit() and low <= int(value) <= high


def to(*kinds: str) -> Rule:
    """A value that refers to resources, each of one of these types, and to at least one."""

    def right(value: Any, resources: Mapping[str, Any]) -> bool:  # noqa: ANN401
        found = [resources[name]["Type"] for name in references(value) if name in resources]
        return bool(found) and set(found) <= set(kinds)

    return right


def each(rule: Rule, at_most: int = 100) -> Rule:
    """A list of one to `at_most` values that follow a rule."""
    return lambda values, resources: (
        isinstance(values, list)
        and 1 <= len(values) <= at_most
        and all(rule(value, resources) for value in values)
    )


def having(**rules: Rule) -> Rule:
    """A mapping in which every one of these keys follows its rule, if it is there."""
    return lambda value, resources: (
        isinstance(value, dict)
        and all(rule(value[key], resources) for key, rule in rules.items() if key in value)
    )


def either(*rules: Rule) -> Rule:
    """A value that follows one of these rules."""
    return lambda value, resources: any(rule(value, resources) for rule in rules)


_ALIAS = to("AWS::Lambda::Alias")
_ALIAS_NAME = matches(r"(?!\d+$)[A-Za-z0-9_-]{1,128}")
_S3 = having(S3Bucket=matches(r"[a-z0-9.-]{3,63}"), S3Key=matches(r".{1,1024}"))
_IN_S3 = having(Bucket=matches(r"[a-z0-9.-]{3,63}"), Key=matches(r".{1,1024}"))

# docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html, for AWS Lambda.
# Another name is a configuration that the template must create.
_CODEDEPLOY_CONFIGURATIONS = one_of(
    "CodeDeployDefault.LambdaAllAtOnce",
    *(f"CodeDeployDefault.LambdaCanary10Percent{minutes}Minutes" for minutes in (5, 10, 15, 30)),
    *(
        f"CodeDeployDefault.LambdaLinear10PercentEvery{minutes}"
        for minutes in ("1Minute", "2Minutes", "3Minutes", "10Minutes")
    ),
)

_ROUTE = matches(r"(/([A-Za-z0-9._~:-]+|\{[A-Za-z0-9._:-]+\}))*(/\{[A-Za-z0-9._:-]+\+\})?")


def _tags(value: Any, _: Mapping[str, Any]) -> bool:  # noqa: ANN401
    return len(value) <= 50 and all(len(tag["Key"]) <= 128 and len(tag["Value"]) <= 256 for tag in value)


def _api(body: Any, resources: Mapping[str, Any]) -> bool:  # noqa: ANN401
    """Paths that API Gateway accepts, each with an integration that invokes an alias; an alias authorizes."""
    integrations = [
        operation["x-amazon-apigateway-integration"]["uri"]
        for methods in body["paths"].values()
        for operation in methods.values()
    ]
    authorizers = [
        scheme["x-amazon-apigateway-authorizer"] for scheme in body["components"]["securitySchemes"].values()
    ]
    authorizer = having(authorizerUri=_ALIAS, authorizerResultTtlInSeconds=between(0, 3600))
    return (
        all(_ROUTE(path, resources) for path in body["paths"])
        and each(_ALIAS, at_most=300)(integrations, resources)
        and each(authorizer)(authorizers, resources)
    )


def _method_setting(setting: Any, resources: Mapping[str, Any]) -> bool:  # noqa: ANN401
    """A setting of all methods, or of a path that the API has, with limits that let requests through."""
    paths = {
        f"/{path.replace('/', '~1')}"
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGateway::RestApi"
        for path in resource["Properties"]["Body"]["paths"]
    }
    limits = having(ThrottlingBurstLimit=between(1, 5_000), ThrottlingRateLimit=between(1, 10_000))
    return setting["ResourcePath"] in paths | {"/*"} and limits(setting, resources)


RULES: Mapping[tuple[str, str], Rule] = {
    ("AWS::ApiGateway::Deployment", "Description"): matches(r".{1,1024}"),
    ("AWS::ApiGateway::Deployment", "RestApiId"): to("AWS::ApiGateway::RestApi"),
    ("AWS::ApiGateway::RestApi", "Body"): _api,
    ("AWS::ApiGateway::RestApi", "Parameters"): having(
        endpointConfigurationTypes=one_of("EDGE", "PRIVATE", "REGIONAL")
    ),
    ("AWS::ApiGateway::Stage", "AccessLogSetting"): having(
        DestinationArn=to("AWS::Logs::LogGroup"), Format=matches(r".*\$context\.requestId.*")
    ),
    ("AWS::ApiGateway::Stage", "DeploymentId"): to("AWS::ApiGateway::Deployment"),
    ("AWS::ApiGateway::Stage", "MethodSettings"): each(_method_setting),
    ("AWS::ApiGateway::Stage", "RestApiId"): to("AWS::ApiGateway::RestApi"),
    ("AWS::ApiGateway::Stage", "StageName"): matches(r"[A-Za-z0-9_-]{1,128}"),
    ("AWS::ApiGateway::Stage", "TracingEnabled"): one_of(True),
    ("AWS::CodeDeploy::Application", "ComputePlatform"): one_of("Lambda"),
    # CodeDeploy accepts ten alarms.
    ("AWS::CodeDeploy::DeploymentGroup", "AlarmConfiguration"): having(
        Alarms=each(having(Name=to("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")), at_most=10)
    ),
    ("AWS::CodeDeploy::DeploymentGroup", "ApplicationName"): to("AWS::CodeDeploy::Application"),
    ("AWS::CodeDeploy::DeploymentGroup", "AutoRollbackConfiguration"): having(
        Enabled=one_of(True),
        Events=each(
            one_of("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"), at_most=3
        ),
    ),
    ("AWS::CodeDeploy::DeploymentGroup", "DeploymentConfigName"): either(
        _CODEDEPLOY_CONFIGURATIONS, to("AWS::CodeDeploy::DeploymentConfig")
    ),
    ("AWS::CodeDeploy::DeploymentGroup", "DeploymentStyle"): one_of(
        {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"}
    ),
    ("AWS::CodeDeploy::DeploymentGroup", "ServiceRoleArn"): to("AWS::IAM::Role"),
    ("AWS::Events::Rule", "EventPattern"): having(source=each(matches(r"aws\.[a-z]+"), at_most=1)),
    ("AWS::Events::Rule", "ScheduleExpression"): matches(
        r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)|cron\(\S+( \S+){5}\)"
    ),
    ("AWS::Events::Rule", "Targets"): each(
        having(
            Arn=_ALIAS,
            Id=matches(r"[.A-Za-z0-9_-]{1,64}"),
            DeadLetterConfig=having(Arn=to("AWS::SQS::Queue")),
        ),
        at_most=5,
    ),
    ("AWS::IAM::Role", "AssumeRolePolicyDocument"): having(
        Statement=each(having(Principal=one_of({"Service": ["codedeploy.amazonaws.com"]})))
    ),
    ("AWS::IAM::Role", "ManagedPolicyArns"): each(
        matches(r"arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda(Limited)?"), at_most=20
    ),
    ("AWS::Lambda::Alias", "FunctionName"): to("AWS::Lambda::Function"),
    ("AWS::Lambda::Alias", "FunctionVersion"): to("AWS::Lambda::Version"),
    ("AWS::Lambda::Alias", "Name"): _ALIAS_NAME,
    ("AWS::Lambda::EventInvokeConfig", "DestinationConfig"): having(
        OnFailure=having(Destination=to("AWS::SQS::Queue"))
    ),
    ("AWS::Lambda::EventInvokeConfig", "FunctionName"): to("AWS::Lambda::Function"),
    ("AWS::Lambda::EventInvokeConfig", "MaximumEventAgeInSeconds"): between(60, 21600),
    ("AWS::Lambda::EventInvokeConfig", "MaximumRetryAttempts"): between(0, 2),
    ("AWS::Lambda::EventInvokeConfig", "Qualifier"): _ALIAS_NAME,
    ("AWS::Lambda::Function", "Code"): _S3,
    ("AWS::Lambda::Function", "Tags"): _tags,
    ("AWS::Lambda::Function", "TracingConfig"): having(Mode=one_of("Active", "PassThrough")),
    ("AWS::Lambda::LayerVersion", "CompatibleArchitectures"): each(one_of("arm64", "x86_64"), at_most=2),
    ("AWS::Lambda::LayerVersion", "CompatibleRuntimes"): each(matches(r"python3\.\d+"), at_most=15),
    ("AWS::Lambda::LayerVersion", "Content"): _S3,
    ("AWS::Lambda::LayerVersion", "LayerName"): matches(r"[A-Za-z0-9_-]{1,140}"),
    ("AWS::Lambda::Permission", "Action"): one_of("lambda:InvokeFunction"),
    # The callers invoke the alias, so a permission for the function alone would not be enough.
    ("AWS::Lambda::Permission", "FunctionName"): _ALIAS,
    ("AWS::Lambda::Permission", "Principal"): one_of("apigateway.amazonaws.com", "events.amazonaws.com"),
    ("AWS::Lambda::Permission", "SourceArn"): to("AWS::ApiGateway::RestApi", "AWS::Events::Rule"),
    ("AWS::Lambda::Version", "FunctionName"): to("AWS::Lambda::Function"),
    ("AWS::StepFunctions::StateMachine", "DefinitionS3Location"): _IN_S3,
    ("AWS::StepFunctions::StateMachine", "LoggingConfiguration"): having(
        Level=one_of("ALL", "ERROR", "FATAL", "OFF"),
        Destinations=each(having(CloudWatchLogsLogGroup=to("AWS::Logs::LogGroup")), at_most=1),
    ),
    ("AWS::StepFunctions::StateMachine", "RoleArn"): to("AWS::IAM::Role"),
    ("AWS::StepFunctions::StateMachine", "StateMachineName"): matches(r"[A-Za-z0-9_-]{1,80}"),
    ("AWS::StepFunctions::StateMachine", "StateMachineType"): one_of("STANDARD"),
    ("AWS::StepFunctions::StateMachine", "Tags"): _tags,
    ("AWS::StepFunctions::StateMachine", "TracingConfiguration"): having(Enabled=one_of(True)),
    ("AWS::StepFunctions::StateMachineAlias", "DeploymentPreference"): having(
        StateMachineVersionArn=to("AWS::StepFunctions::StateMachineVersion"),
        Type=one_of("ALL_AT_ONCE", "CANARY", "LINEAR"),
        Percentage=between(1, 99),
        Interval=between(1, 2100),
        Alarms=each(to("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"), at_most=100),
    ),
    ("AWS::StepFunctions::StateMachineAlias", "Name"): matches(r"(?![0-9]+$)[A-Za-z0-9_.-]{1,80}"),
    ("AWS::StepFunctions::StateMachineVersion", "StateMachineArn"): to("AWS::StepFunctions::StateMachine"),
    ("AWS::StepFunctions::StateMachineVersion", "StateMachineRevisionId"): to(
        "AWS::StepFunctions::StateMachine"
    ),
}

RETAINED = ("AWS::Lambda::LayerVersion", "AWS::Lambda::Version", "AWS::StepFunctions::StateMachineVersion")
"""A rollback returns to the previous ones, so CloudFormation must not delete them."""


def derived_in(source: Template, deployed: Template) -> Iterator[tuple[str, str, str, Any]]:
    """Logical id, type, property and value of each property that SAM derived.

    Not of those that it copies from the same property of the source, or from the template's globals.
    """
    copied: dict[str, set[str]] = {}
    for kind, common in source.get("Globals", {}).items():
        copied[f"AWS::Serverless::{kind}"] = set(common)
    for logical_id, resource in deployed["Resources"].items():
        given = source["Resources"].get(logical_id, {})
        same = copied.get(given.get("Type"), set()) | given.get("Properties", {}).keys()
        for name, value in resource.get("Properties", {}).items():
            if name not in same:
                yield logical_id, resource["Type"], name, value
