"""Preflight names each thing that an account lacks, and calls only operations that read.

AWS answers from a table, with requests and answers of botocore's shapes.
"""

import json
import re
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from release import __main__ as command
from release.command import run
from release.preflight.problem import Problem, Target
from release.preflight.quotas import quotas_of
from release.preflight.report import problems_of, require_prepared
from release.stamp import parameters_of
from tests.support.prepared_account import (
    AWS,
    CLIENTS,
    GATEWAY,
    INTERFACES,
    INTERNET_GATEWAY,
    LOGIN,
    MODEL,
    NAT,
    RATE,
    REGION,
    SECRETS,
    attribute,
    availability,
    cluster,
    concurrency,
    endpoint,
    ingress,
    offered,
    prepared,
    quotas,
    route_table,
    secret,
    stack_in,
    topic,
)
from tests.support.recorded_aws import Answers, refusal
from tests.support.templates import STACK as TEMPLATE

GIVEN = {
    "JwtIssuer": "https://issuer.example",
    "JwtAudience": "roadmap",
    "JwtSecretArn": "jwt",
    "DatabaseMigratorSecretArn": "migrator",
    "DatabaseWriterSecretArn": "writer",
    "DatabaseReaderSecretArn": "reader",
    "DatabaseHost": "db.example",
    "ModelId": "maker.model-v1",
    "ModelArns": MODEL,
    "EventBusArn": "arn:bus",
    "AlarmTopicArn": "arn:topic",
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-functions",
}
READING = re.compile(r"[\w-]+\.(Get|List|Describe|Head)[A-Z]\w*")


def target(**given: str) -> Target:
    return Target("roadmap-content-prod", REGION, parameters_of(TEMPLATE, GIVEN | given))


def find(answers: Answers, **given: str) -> list[Problem]:
    AWS.answer_with(answers)
    found = list(problems_of(CLIENTS, target(**given)))
    assert AWS.called
    assert [name for name in AWS.called if not READING.fullmatch(name)] == []
    assert all(each.remedy for each in found)
    return found


def test_nothing_is_missing_in_a_prepared_account() -> None:
    assert find(prepared()) == []


def lacks(wrong: str, answers: Answers | None = None, **given: str) -> tuple[str, Answers, dict[str, str]]:
    """The fault, and the answers of AWS and the parameters that are different then."""
    return wrong, answers or {}, given


def limits(requests: float, **account: str) -> Answers:
    throttling = {"rateLimit": requests, "burstLimit": 5_000}
    return {"apigateway.GetAccount": {**account, "throttleSettings": throttling}}


def endpoints(*found: Any) -> Answers:
    return {"ec2.DescribeVpcEndpoints": {"VpcEndpoints": [*found]}}


def endpoints_without(service: str) -> Answers:
    return endpoints(*(each for each in (GATEWAY, *INTERFACES) if not each["ServiceName"].endswith(service)))


def secrets(**changed: str | None) -> Answers:
    return {"secretsmanager.GetSecretValue": secret(SECRETS | changed)}


def login(**changed: object) -> str:
    return json.dumps(LOGIN | changed)


IAM = {"DatabaseAuth": "iam"}
TWO_VPCS = [
    {"SubnetId": f"subnet-{number}", "VpcId": f"vpc-{number}", "CidrBlock": f"10.{number}.1.0/24"}
    for number in (1, 2)
]
CLOSED: Answers = {
    "ec2.DescribeRouteTables": {"RouteTables": [route_table(NAT)]},
    "ec2.DescribeSecurityGroups": ingress(IpRanges=[{"CidrIp": "10.0.1.0/24"}]),
}
PROXY: Answers = {
    "rds.DescribeDBProxies": {
        "DBProxies": [{"DBProxyName": "p", "DBProxyArn": "arn:aws:rds:r:1:db-proxy:prx-1"}]
    },
    "rds.DescribeDBProxyTargets": {"Targets": [{"TrackedClusterId": "db"}]},
}
ENCRYPTED: Answers = {
    "sns.GetTopicAttributes": topic(KmsMasterKeyId="alias/aws/sns"),
    "kms.DescribeKey": {"KeyMetadata": {"KeyId": "1", "KeyManager": "AWS"}},
}


def rates(*transitions: Any) -> Answers:
    return {"service-quotas.ListServiceQuotas": quotas(*transitions)}


def quotas_of_model(**of_model: float) -> Answers:
    return {"service-quotas.ListServiceQuotas": quotas(RATE, 800.0, **of_model)}


def named_model(name: str) -> Answers:
    details = {"modelArn": MODEL, "modelId": "maker.model-v1", "modelName": name}
    return {"bedrock.GetFoundationModel": {"modelDetails": details}}


def access(**different: Any) -> Answers:
    return {"bedrock.GetFoundationModelAvailability": availability(**different)}


def database(**different: Any) -> Answers:
    return {"rds.DescribeDBClusters": {"DBClusters": [cluster(**different)]}}


MISSING = [
    lacks("no role for access logs", limits(1e4)),
    lacks("allows 150 requests per second", limits(150.0, cloudwatchRoleArn="arn:role")),
    lacks("which leaves 99 of Lambda's concurrency", {"lambda.GetAccountSettings": concurrency(160)}),
    lacks("no rate of state transitions", rates()),
    lacks("allows 30 state transitions per second, and 40", rates(RATE, 30.0)),
    lacks("DatabaseReaderSecretArn: there is no such secret", secrets(reader=None)),
    lacks("DatabaseWriterSecretArn: the secret is not a JSON object", secrets(writer="password")),
    lacks("DatabaseWriterSecretArn: the secret is not a JSON object", secrets(writer="[]")),
    lacks(
        "DatabaseMigratorSecretArn: the secret lacks dbname, username",
        secrets(migrator=json.dumps({"host": "h", "port": 1, "password": "x"})),
    ),
    lacks("the secret's port is not a number", secrets(writer=login(port="x", username="a"))),
    lacks(
        "the secret's username is not roadmap_writer",
        secrets(writer=login(username="roadmap_reader")),
    ),
    lacks("JwtSecretArn: there is no secret", secrets(jwt=None)),
    lacks("JwtSecretArn: the secret is shorter than 32 bytes", secrets(jwt="short")),
    lacks(
        "has no model and no inference profile",
        {"bedrock.GetFoundationModel": refusal("ResourceNotFoundException")},
    ),
    *(
        lacks(f"no access to maker.model-v1: {name} is {value}", access(**{name: value}))
        for name, value in (
            ("authorizationStatus", "NOT_AUTHORIZED"),
            ("entitlementAvailability", "NOT_AVAILABLE"),
            ("regionAvailability", "NOT_AVAILABLE"),
        )
    ),
    lacks("500,000 tokens per minute of Model, and 10 slots use", quotas_of_model(tokens_per_minute=5e5)),
    lacks("100 requests per minute of Model, and 10 slots use", quotas_of_model(requests_per_minute=100)),
    lacks("1,000,000 tokens per day of Model", quotas_of_model(tokens_per_day=1e6)),
    *(
        lacks(f"output of {model} 5 times, and ModelOutputBurndown is 1", named_model(model))
        for model in ("Claude 3.7 Sonnet", "Claude Sonnet 4", "Claude Haiku 4.5")
    ),
    lacks("agreementAvailability is PENDING", access(agreementAvailability={"status": "PENDING"})),
    lacks("ModelArns lacks what maker.model-v1 invokes", ModelArns="arn:other"),
    lacks(
        "SubnetIds: no such subnet",
        {"ec2.DescribeSubnets": refusal("InvalidSubnetID.NotFound", "no such subnet")},
    ),
    lacks("in several VPCs: vpc-1, vpc-2", {"ec2.DescribeSubnets": {"Subnets": TWO_VPCS}}),
    lacks("enable-dns-support is off", {"ec2.DescribeVpcAttribute": attribute(support=False)}),
    lacks("enable-dns-hostnames is off", {"ec2.DescribeVpcAttribute": attribute(names=False)}),
    *(
        lacks(f"nor to an endpoint of {absent}", endpoints_without(absent))
        for absent in ("s3", "states", "secretsmanager", "bedrock-runtime", "events")
    ),
    lacks(
        "nor to an endpoint of lambda",
        endpoints(GATEWAY, *INTERFACES),
        Generator="function",
        GeneratorFunctionArn="arn:aws:lambda:eu-central-1:123456789012:function:writer",
    ),
    lacks(
        "nor to an endpoint of secretsmanager",  # with IAM, for the key of erasures
        endpoints_without("secretsmanager"),
        **IAM,
        **dict.fromkeys((name for name in GIVEN if name.endswith("rSecretArn")), ""),
    ),
    lacks(
        "an endpoint of states (one exists, but without private DNS)",
        endpoints(GATEWAY, *INTERFACES[1:], endpoint("states", PrivateDnsEnabled=False)),
    ),
    lacks("nor to an endpoint of s3", endpoints({**GATEWAY, "RouteTableIds": ["rtb-2"]}, *INTERFACES)),
    lacks(
        "nor to an endpoint of states",
        endpoints(GATEWAY, *INTERFACES[1:], endpoint("states", State="pending")),
    ),
    lacks(
        "vpce-states (states): its security groups do not accept port 443",
        endpoints(GATEWAY, endpoint("states")) | CLOSED,
    ),
    lacks(
        "no server of RDS has DatabaseResourceId",
        {"rds.DescribeDBEngineVersions": {"DBEngineVersions": [{"EngineVersion": "17.5"}]}},
        **IAM,
        DatabaseHost="another.example",
    ),
    lacks("db is PostgreSQL 13.9", database(EngineVersion="13.9")),
    lacks(
        "db does not accept IAM logins",
        database(IAMDatabaseAuthenticationEnabled=False),
        **IAM,
        DatabaseResourceId="cluster-1",
    ),
    lacks("db is behind RDS Proxy", PROXY, **IAM, DatabaseResourceId="prx-1", DatabaseHost="p.example"),
    lacks("10 slots use about 71076923 tokens", TokensPerHour="400000000"),
    lacks("arn:topic has no confirmed sub", {"sns.GetTopicAttributes": topic(SubscriptionsConfirmed="0")}),
    lacks("there is no topic arn:topic", {"sns.GetTopicAttributes": refusal("NotFound")}),
    lacks("no trail of CloudTrail logs eu-central-1", {"cloudtrail.DescribeTrails": {"trailList": []}}),
    lacks("no trail of CloudTrail logs eu-central-1", {"cloudtrail.GetTrailStatus": {"IsLogging": False}}),
    lacks("arn:topic is encrypted with alias/aws/sns", ENCRYPTED),
    *(
        lacks(f"roadmap-content-prod is {status}", {"cloudformation.DescribeStacks": stack_in(status)})
        for status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED")
    ),
    lacks(
        "secrets: An error occurred (AccessDeniedException)",
        {"secretsmanager.GetSecretValue": refusal("AccessDeniedException")},
    ),
]


@pytest.mark.parametrize(("wrong", "answers", "given"), MISSING, ids=[each[0] for each in MISSING])
def test_one_missing_thing_is_found_alone(wrong: str, answers: Answers, given: dict[str, str]) -> None:
    (found,) = find(prepared() | answers, **given)
    assert wrong in found.wrong


@pytest.mark.parametrize(
    "source",
    [
        {"IpRanges": [{"CidrIp": "10.0.0.0/23"}, {"CidrIp": "10.0.2.0/24"}]},
        {"UserIdGroupPairs": [{"GroupId": "sg-functions"}]},
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    ],
)
def test_an_endpoint_that_accepts_the_functions_is_enough(source: dict[str, Any]) -> None:
    assert find(prepared() | {"ec2.DescribeSecurityGroups": ingress(**source)}) == []


@pytest.mark.parametrize(
    ("described", "problems"),
    [
        ({}, 1),
        ({"EnableTerminationProtection": True}, 0),
        ({"Tags": [{"Key": "first-day", "Value": "may-disturb"}]}, 0),
    ],
)
def test_a_stack_with_users_is_protected_from_deletion(described: dict[str, Any], problems: int) -> None:
    (stack,) = stack_in("UPDATE_COMPLETE")["Stacks"]
    found = find(
        prepared()
        | {
            "cloudformation.DescribeStacks": {
                "Stacks": [stack | {"EnableTerminationProtection": False} | described]
            }
        }
    )
    assert len(found) == problems


def test_a_zone_without_a_service_is_named_before_an_endpoint_is_created() -> None:
    answers = endpoints_without("states") | {"ec2.DescribeVpcEndpointServices": offered("zone-1", "zone-3")}
    missing, zone = find(prepared() | answers)
    assert "nor to an endpoint of states" in missing.wrong
    assert "no interface endpoint of states in the zones of subnet-2" in zone.wrong
    assert "subnets in zone-1, zone-3" in zone.remedy


@pytest.mark.parametrize(("length", "problems"), [(25, 0), (26, 1)])
def test_a_stack_name_that_cloudformation_shortens_is_refused(length: int, problems: int) -> None:
    AWS.answer_with(prepared())
    found = list(problems_of(CLIENTS, target()._replace(stack="s" * length)))
    assert len(found) == problems


def test_a_nat_gateway_replaces_every_endpoint() -> None:
    def found(route: Any) -> list[Problem]:
        routes = {"ec2.DescribeRouteTables": {"RouteTables": [route_table(route)]}}
        return find(prepared() | endpoints() | routes)

    assert found(NAT) == []
    assert len(found(INTERNET_GATEWAY)) == 5


def test_what_is_not_used_is_not_read() -> None:
    unused = ("bedrock.", "ec2.", "secretsmanager.")
    answers = {name: answer for name, answer in prepared().items() if not name.startswith(unused)}
    found = find(answers, Generator="offline", SubnetIds="", JwtSecretArn="", DatabaseAuth="iam")
    assert found == []


def test_reservations_of_the_deployed_stack_are_replaced_and_not_added() -> None:
    summary = {
        "LogicalResourceId": "SaveBatchFunction",
        "PhysicalResourceId": "stack-save-batch",
        "ResourceType": "AWS::Lambda::Function",
    }
    deployed = prepared() | {
        "lambda.GetAccountSettings": concurrency(151),
        "cloudformation.ListStackResources": {"StackResourceSummaries": [summary]},
        "lambda.GetFunctionConcurrency": {"ReservedConcurrentExecutions": 10},
    }
    assert find(deployed) == []


def test_a_profile_needs_the_arns_of_its_models_too() -> None:
    profile = {
        "inferenceProfileName": "eu",
        "inferenceProfileArn": "arn:profile",
        "inferenceProfileId": "eu.maker.model-v1",
        "models": [{"modelArn": MODEL}, {"modelArn": MODEL.replace("central", "west")}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }
    answers = prepared() | {"bedrock.GetInferenceProfile": profile}
    (found,) = find(answers, ModelId="eu.maker.model-v1", ModelArns=f"arn:profile,{MODEL}")
    assert found.remedy == f"ModelArns=arn:profile,{MODEL},{MODEL.replace('central', 'west')}"


def test_a_model_that_service_quotas_does_not_name_is_not_compared() -> None:
    answers = prepared() | named_model("Claude 3.5 Sonnet") | quotas_of_model(tokens_per_minute=1)
    assert find(answers) == []
    names = {"On-demand InvokeModel tokens per minute for Anthropic Claude 3.5 Sonnet V2": 2.0}
    assert quotas_of("Claude 3.5 Sonnet", names) == {"tokens per minute": 2.0}
    assert quotas_of("Claude 3.5", names) == {}


def test_a_model_in_another_region_is_looked_for_there() -> None:
    AWS.answer_with(prepared())
    regions = []

    def noting(service: str, region: str) -> Any:
        if service == "bedrock":
            regions.append(region)
        return CLIENTS(service, region)

    assert list(problems_of(noting, target(ModelRegion="us-east-1", SubnetIds=""))) == []
    assert regions == ["us-east-1"]


def test_a_region_without_certificates_is_named() -> None:
    elsewhere = target()._replace(region="xx-south-1")
    AWS.answer_with(prepared())
    (found,) = problems_of(CLIENTS, elsewhere)
    assert "no certificate authority of RDS for xx-south-1" in found.wrong
    assert "certificates/rds.pem https://truststore.pki.rds.amazonaws.com/xx-south-1/" in found.remedy


@pytest.mark.parametrize(
    "error",
    [
        NoCredentialsError(),
        EndpointConnectionError(endpoint_url="https://apigateway.example"),
        refusal("ExpiredToken"),
    ],
)
def test_an_account_that_cannot_be_reached_has_its_own_exit_code(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    AWS.answer_with(prepared() | {"apigateway.GetAccount": error})

    def command() -> None:
        list(problems_of(CLIENTS, target()))

    with pytest.raises(SystemExit) as exit_:
        run(command, arguments=[])
    assert exit_.value.code == 3
    assert capsys.readouterr().err


@pytest.mark.parametrize(("answers", "code"), [({}, 0), ({"apigateway.GetAccount": {}}, 1)])
def test_the_exit_code_tells_whether_something_is_wrong(
    answers: Answers, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    AWS.answer_with(prepared() | answers)
    with pytest.raises(SystemExit) as exit_:
        run(lambda: require_prepared(target(), CLIENTS), arguments=[])
    assert (exit_.value.code or 0) == code
    printed = capsys.readouterr().out
    assert "unread  the database's roles, max_connections" in printed
    assert ("nothing is missing" in printed) == (code == 0)


LIMITS = {"SaverConcurrency": "1", "GeneratorConcurrency": "2", "RunConcurrency": "3", "ApiConcurrency": "4"}
"""At most 32 connections: 1 + 2, 3 for each of four functions, two for each of 8 requests, and the
migration."""


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (LIMITS | {"DatabaseConnections": "32"}, []),
        (LIMITS | {"DatabaseConnections": "31"}, ["the functions open up to 32 connections"]),
        (LIMITS | {"DatabaseConnections": "31", "ApiConcurrency": "3"}, []),
        (
            LIMITS | {"DatabaseConnections": "500", "ApiConcurrency": "0"},
            ["nothing limits the connections of TaskApiFunction, OperatorApiFunction"],
        ),
    ],
)
def test_the_connections_of_all_reservations_fit_the_database(
    given: dict[str, str], wrong: list[str]
) -> None:
    found = find(prepared(), **given)
    assert [part for part, problem in zip(wrong, found, strict=True) if part in problem.wrong] == wrong


class BuiltError(Exception):
    """The deployment has begun to build."""


@pytest.mark.parametrize("unchecked", [False, True])
def test_a_deployment_reads_the_account_before_it_builds(
    monkeypatch: pytest.MonkeyPatch, *, unchecked: bool
) -> None:
    def build(*_: object) -> None:
        raise BuiltError

    monkeypatch.setattr(command, "overrides_in", lambda *_: GIVEN)
    monkeypatch.setattr(command, "settings_in", lambda *_: {})
    monkeypatch.setattr(command, "build", build)
    monkeypatch.setattr(boto3, "Session", lambda: AWS.session)
    AWS.answer_with(prepared() | {"apigateway.GetAccount": {}})
    with pytest.raises(BuiltError if unchecked else SystemExit):
        command.deploy("prod", unchecked=unchecked)
    assert bool(AWS.called) is not unchecked
    AWS.answer_with(prepared())
    command.deploy("prod", preflight=True)  # and ends there
