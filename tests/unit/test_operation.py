"""Guarantees of the deployed stacks for users and operators, each seen by its effect if it is computable."""

import re
from fnmatch import fnmatchcase

import pytest

from checks.template.concrete import concrete
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, of_type
from tests.support.security_groups import rules_of
from tests.support.templates import DATABASE, FUNCTIONS, STACK

API_GATEWAY_WAITS = 29
"""Seconds after which API Gateway gives up."""

EVENTS = FUNCTIONS["ReconcileTaskFunction"]["Events"]


def timeout_of(name: str) -> int:
    seconds: int = FUNCTIONS[name].get("Timeout", STACK["Globals"]["Function"]["Timeout"])
    return seconds


def test_reconcile_gets_every_end_that_a_state_machine_cannot_catch() -> None:
    pattern = EVENTS["ExecutionEnded"]["Properties"]["Pattern"]
    assert pattern["source"] == ["aws.states"]
    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert set(pattern["detail"]["status"]) == {"FAILED", "TIMED_OUT", "ABORTED"}
    (machine,) = pattern["detail"]["stateMachineArn"]
    name = of_type(STACK, "AWS::Serverless::StateMachine")["SaveContentStateMachine"]["Name"]["Fn::Sub"]
    assert machine["Fn::Sub"].endswith(f":stateMachine:{name}"), "the event has the ARN without the alias"


def test_a_sweep_ends_before_the_next_one_and_writes_a_point_in_each_period_of_its_alarm() -> None:
    minutes = re.fullmatch(r"rate\((\d+) minutes\)", EVENTS["Sweep"]["Properties"]["Schedule"])
    assert minutes
    every = int(minutes[1]) * 60
    assert timeout_of("ReconcileTaskFunction") < every
    alarm = of_type(STACK, "AWS::CloudWatch::Alarm")["SweepSilentAlarm"]
    assert alarm["Period"] == every


def test_an_event_that_reconcile_cannot_process_is_kept_for_as_long_as_sqs_can() -> None:
    async_settings = FUNCTIONS["ReconcileTaskFunction"]["EventInvokeConfig"]
    queue = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    assert async_settings["DestinationConfig"]["OnFailure"] == {"Type": "SQS", "Destination": queue}
    assert STACK["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"] == 14 * 86400


def test_cloudformation_waits_for_the_longest_migration_and_lambda_does_not_repeat_it() -> None:
    schema = STACK["Resources"]["Schema"]["Properties"]
    assert timeout_of("MigrateDatabaseFunction") + 30 <= schema["ServiceTimeout"] <= 3600
    assert FUNCTIONS["MigrateDatabaseFunction"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


@pytest.mark.parametrize(
    "name",
    [
        *(
            name
            for name, each in FUNCTIONS.items()
            if any(event["Type"] == "Api" for event in each.get("Events", {}).values())
        ),
        "AuthorizeRequestFunction",
    ],
)
def test_a_function_of_the_api_ends_before_api_gateway_gives_up(name: str) -> None:
    assert timeout_of(name) < API_GATEWAY_WAITS


def test_functions_that_start_with_packages_for_a_waiting_user_start_from_a_snapshot() -> None:
    asked = {"TaskApiFunction", "OperatorApiFunction", "AuthorizeRequestFunction"}
    assert {name for name, each in FUNCTIONS.items() if "SnapStart" in each} == asked


(API,) = of_type(STACK, "AWS::Serverless::Api").values()


def test_a_page_of_another_origin_can_read_refusals_of_api_gateway() -> None:
    for kind in ("DEFAULT_4XX", "DEFAULT_5XX"):
        headers = API["GatewayResponses"][kind]["ResponseParameters"]["Headers"]
        assert headers == {"Access-Control-Allow-Origin": "'*'"}


def test_a_token_is_accepted_for_a_minute_at_most_after_its_end() -> None:
    identity = API["Auth"]["Authorizers"]["BearerToken"]["Identity"]
    assert identity["ReauthorizeEvery"] <= 60
    shape = re.compile(identity["ValidationExpression"])
    assert shape.search("Bearer a.b-c_.d")
    assert shape.search("bearer  a.b.c")
    for refused in (
        "",
        "a.b.c",
        "Basic a.b.c",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer a.b.c ",
        "x Bearer a.b.c",
    ):
        assert not shape.search(refused), refused


@pytest.mark.parametrize("requests", ["1", "9", "-5", "1.5", "", "05"])
def test_a_limit_that_waf_refuses_is_refused_before_anything_is_made(requests: str) -> None:
    assert not re.fullmatch(STACK["Parameters"]["WafRequestsPer5Minutes"]["AllowedPattern"], requests)


@pytest.mark.parametrize("name", ["ContentKey", "ContentBucket"])
def test_paid_content_survives_the_deletion_of_the_stack(name: str) -> None:
    resource = STACK["Resources"][name]
    policies = resource["DeletionPolicy"], resource["UpdateReplacePolicy"]
    assert policies == ("RetainExceptOnCreate", "Retain")


def test_an_overwritten_object_is_kept_for_a_month() -> None:
    bucket = STACK["Resources"]["ContentBucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    kept = [
        rule["NoncurrentVersionExpiration"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "NoncurrentVersionExpiration" in rule
    ]
    assert kept == [{"NoncurrentDays": 30}]


@pytest.mark.parametrize("kind", ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"])
def test_requests_without_tls_are_denied(kind: str) -> None:
    (policy,) = of_type(STACK, kind).values()
    (denied,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
    assert denied["Principal"] == "*"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["Action"] in ("s3:*", "sqs:*")


@pytest.mark.parametrize("template", [STACK, DATABASE], ids=["template.yaml", "database/template.yaml"])
def test_the_key_may_encrypt_every_log_group(template: Template) -> None:
    """CloudWatch refuses to create a log group with a key that it may not use for this group."""
    (key,) = of_type(template, "AWS::KMS::Key").values()
    (for_logs,) = [each for each in key["KeyPolicy"]["Statement"] if "Service" in each["Principal"]]
    allowed = for_logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]["Fn::Sub"]
    groups = [each["LogGroupName"]["Fn::Sub"] for each in of_type(template, "AWS::Logs::LogGroup").values()]
    assert groups
    for group in groups:
        arn = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:" + group
        assert fnmatchcase(arn.replace("[", ""), allowed), f"{group} is not covered by {allowed}"


def test_every_function_and_state_machine_writes_to_a_log_group_with_a_retention() -> None:
    assert STACK["Globals"]["Function"]["LoggingConfig"]["LogGroup"] == {"Ref": "FunctionLogs"}
    assert not [name for name, each in FUNCTIONS.items() if "LoggingConfig" in each]
    for machine in of_type(STACK, "AWS::Serverless::StateMachine").values():
        assert machine["Logging"]["Level"] == "ALL", "each state of a run"
        (destination,) = machine["Logging"]["Destinations"]
        group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
        assert group == {"Fn::GetAtt": ["StateMachineLogs", "Arn"]}
        assert machine["Tracing"] == {"Enabled": True}


def test_the_database_is_entered_by_iam_over_tls_and_its_backups_are_kept_as_stated() -> None:
    """checkov checks its encryption, its network and its accounts."""
    (cluster,) = of_type(DATABASE, "AWS::RDS::DBCluster").values()
    (proxy,) = of_type(DATABASE, "AWS::RDS::DBProxy").values()
    assert proxy["RequireTLS"] is True
    assert proxy["DefaultAuthScheme"] == "IAM_AUTH"
    assert f"({cluster['BackupRetentionPeriod']} days by" in (REPOSITORY / "docs/erasure.md").read_text()


def test_functions_reach_the_vpc_s_endpoints_and_the_proxy_and_nothing_else() -> None:
    resources = concrete(DATABASE, {"VpcCidr": "10.1.0.0/16", "S3PrefixListId": "pl-1"}, "db")["Resources"]
    of_functions = rules_of(resources, "FunctionSecurityGroup", "Egress")
    destinations = ("DestinationPrefixListId", "CidrIp", "DestinationSecurityGroupId")
    reached = [
        (each["FromPort"], each["ToPort"], *(each[name] for name in destinations if name in each))
        for each in of_functions
    ]
    assert reached == [
        (443, 443, "pl-1"),
        (443, 443, "10.1.0.0/16"),
        (5432, 5432, {"Fn::GetAtt": ["DatabaseSecurityGroup", "GroupId"]}),
    ]


def test_the_resource_id_is_that_of_the_proxy() -> None:
    index, split = DATABASE["Outputs"]["DatabaseResourceId"]["Value"]["Fn::Select"]
    separator, source = split["Fn::Split"]
    assert source == {"Fn::GetAtt": ["DatabaseProxy", "DBProxyArn"]}
    arn = "arn:aws:rds:eu-central-1:123456789012:db-proxy:prx-0123456789abcdef0"
    resource_id = arn.split(separator)[index]
    assert re.fullmatch(STACK["Parameters"]["DatabaseResourceId"]["AllowedPattern"], resource_id)
    assert resource_id.startswith("prx-")
