"""Requirements of the template that no linter checks."""

import json
import re
import tomllib
from math import sqrt
from typing import Any

import botocore.session
import pytest

from checks.template.concrete import concrete
from local_stack.builds import REPOSITORY
from local_stack.layers import LAYERS
from local_stack.template_file import Template, of_type
from roadmap_content.platform.storage.keys import MANIFESTS, STAGED
from tests.support.anchors import anchors
from tests.support.templates import DATABASE, FUNCTIONS, behind_the_api
from tests.support.templates import STACK as TEMPLATE


def test_the_state_machine_pins_versions_and_may_invoke_only_those_of_its_functions() -> None:
    (machine,) = of_type(TEMPLATE, "AWS::Serverless::StateMachine").values()
    substitutions = machine["DefinitionSubstitutions"]
    definition = (REPOSITORY / machine["DefinitionUri"]).read_text()
    assert set(re.findall(r"\$\{(\w+)\}", definition)) == substitutions.keys()
    assert machine["AutoPublishAlias"] == "live"
    names = [name for name in substitutions if name.endswith("Function")]
    assert [substitutions[name] for name in names] == [{"Ref": f"{name}.Version"} for name in names]
    policy = TEMPLATE["Resources"]["SaveContentRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    invoke = [each for each in policy["Statement"] if each["Action"] == "lambda:InvokeFunction"]
    allowed = [{"Fn::Sub": f"${{{name}.Arn}}:*"} for name in names]
    assert [each["Resource"] for each in invoke] == [allowed]


def test_the_api_may_start_and_redrive_only_this_state_machine() -> None:
    policy = TEMPLATE["Resources"]["TaskApiRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    start, look = (each for each in policy["Statement"] if "states:" in str(each["Action"]))
    machine = FUNCTIONS["TaskApiFunction"]["Environment"]["Variables"]["STATE_MACHINE_ARN"]
    # IAM checks the ARN of the state machine, not of the alias.
    unqualified = machine["Fn::Sub"].removesuffix(":live")
    assert (start["Action"], start["Resource"]) == ("states:StartExecution", {"Fn::Sub": unqualified})
    assert "states:RedriveExecution" in look["Action"]
    executions = unqualified.replace(":stateMachine:", ":execution:") + ":*"
    assert look["Resource"] == {"Fn::Sub": executions}


def test_the_state_machine_logs_no_content() -> None:
    for machine in of_type(TEMPLATE, "AWS::Serverless::StateMachine").values():
        assert machine["Logging"]["IncludeExecutionData"] is False


def test_objects_that_a_redrive_needs_are_kept_for_90_days() -> None:
    (bucket,) = of_type(TEMPLATE, "AWS::S3::Bucket").values()
    expiring = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    assert (expiring[STAGED], expiring[MANIFESTS]) == ({"Ref": "StagedRetentionDays"}, 90)
    assert TEMPLATE["Parameters"]["StagedRetentionDays"]["MinValue"] >= 90


def test_only_one_page_per_cause_notifies_the_topic() -> None:
    told = {"Fn::If": ["TellsAlarms", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    pages = of_type(TEMPLATE, "AWS::CloudWatch::CompositeAlarm")
    alarms = of_type(TEMPLATE, "AWS::CloudWatch::Alarm")
    assert all(page["AlarmActions"] == page["OKActions"] == told for page in pages.values())
    assert not [name for name, alarm in alarms.items() if "AlarmActions" in alarm or "OKActions" in alarm]
    for name in alarms:
        paging = [page for page in pages.values() if f"${{{name}}}" in json.dumps(page["AlarmRule"])]
        assert paging, f"{name} is on no page"
        links = {each["AlarmDescription"].rpartition(" ")[2] for each in (alarms[name], *paging)}
        assert len(links) == 1, "the section of its page"


@pytest.mark.parametrize("template", [TEMPLATE, DATABASE], ids=["template.yaml", "database/template.yaml"])
def test_every_alarm_links_to_its_page(template: Template) -> None:
    for kind in ("AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Alarm"):
        for name, alarm in of_type(template, kind).items():
            path, _, anchor = alarm["AlarmDescription"].rpartition(" ")[2].partition("#")
            assert anchor in anchors(path), f"{name}: {path} has no section {anchor}"


def test_every_function_of_the_api_is_deployed_gradually() -> None:
    gradual = {name for name, each in FUNCTIONS.items() if "DeploymentPreference" in each}
    assert gradual == behind_the_api()


DEFINITION = json.loads((REPOSITORY / "statemachine/save_content.asl.json").read_text())


def tasks() -> dict[str, dict[str, Any]]:
    inside = DEFINITION["States"]["FanOut"]["ItemProcessor"]["States"]
    states = DEFINITION["States"] | inside
    return {name: state for name, state in states.items() if state["Type"] == "Task"}


@pytest.mark.parametrize("name", tasks())
def test_a_state_s_timeout_is_a_little_longer_than_its_function_s(name: str) -> None:
    task = tasks()[name]
    function = FUNCTIONS[task["Arguments"]["FunctionName"].strip("${}")]
    timeout = function.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
    assert timeout + 5 <= task["TimeoutSeconds"] <= timeout + 60


def test_a_run_ends_in_time() -> None:
    longest = max(task["TimeoutSeconds"] for task in tasks().values())
    assert longest * 4 <= DEFINITION["TimeoutSeconds"] <= 24 * 3600


@pytest.mark.parametrize("name", tasks())
def test_a_throttle_is_waited_for_as_long_as_the_run_may_take(name: str) -> None:
    (retrier,) = [
        each for each in tasks()[name]["Retry"] if "Lambda.TooManyRequestsException" in each["ErrorEquals"]
    ]
    assert retrier["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
    assert retrier["JitterStrategy"] == "FULL", "else all throttled batches return at once"
    delays = [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** count, retrier["MaxDelaySeconds"]) / 2
        for count in range(retrier["MaxAttempts"])
    ]  # with full jitter, half of the maximum on average
    deviation = sqrt(sum(delay**2 for delay in delays) / 3)
    assert sum(delays) - 3 * deviation >= DEFINITION["TimeoutSeconds"]


@pytest.mark.parametrize("name", tasks())
def test_a_function_that_wakes_up_is_waited_for(name: str) -> None:
    """The names are those of Lambda's service model."""
    model = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    asleep = {
        f"Lambda.{shape.name}"
        for shape in model.error_shapes
        if re.search("(Resource|SnapStart)NotReady", shape.name)
    }
    assert len(asleep) == 2
    (retrier,) = [each for each in tasks()[name]["Retry"] if asleep <= set(each["ErrorEquals"])]
    assert (retrier["IntervalSeconds"], retrier["MaxAttempts"], retrier["BackoffRate"]) == (10, 12, 1)


def test_the_layers_equal_the_locally_built_ones() -> None:
    layers = of_type(TEMPLATE, "AWS::Serverless::LayerVersion")
    assert {
        logical_id: str(layer.source.relative_to(REPOSITORY)) for logical_id, layer in LAYERS.items()
    } == {logical_id: properties["ContentUri"] for logical_id, properties in layers.items()}


def test_what_is_set_for_one_method_is_set_for_a_method_that_exists() -> None:
    (api,) = of_type(TEMPLATE, "AWS::Serverless::Api").values()
    routes = {
        (event["Properties"]["Method"], event["Properties"]["Path"])
        for function in FUNCTIONS.values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Api"
    }
    of_all, *of_one = api["MethodSettings"]
    assert (of_all["HttpMethod"], of_all["ResourcePath"]) == ("*", "/*")
    assert of_one
    for each in of_one:
        encoded = each["ResourcePath"].removeprefix("/")
        assert "/" not in encoded, "API Gateway takes ~1 for a slash, except the first"
        assert (each["HttpMethod"], encoded.replace("~1", "/")) in routes


def broken_rules(given: dict[str, str]) -> list[str]:
    """The rules of the template that these parameters break: each is the condition of a resource here."""
    broken = {}
    for name, rule in TEMPLATE["Rules"].items():
        all_hold = {"Fn::And": [each["Assert"] for each in rule["Assertions"]]}
        broken[name] = {"Fn::And": [rule["RuleCondition"], {"Fn::Not": [all_hold]}]}
    rules = {
        "Parameters": TEMPLATE["Parameters"],
        "Conditions": broken,
        "Resources": {name: {"Condition": name} for name in broken},
    }
    return list(concrete(rules, given, "")["Resources"])


ACCEPTED = {
    "JwtIssuer": "https://issuer.example",
    "JwtAudience": "a",
    "Generator": "offline",
    **{f"Database{role}SecretArn": "arn" for role in ("Migrator", "Writer", "Reader")},
}


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({}, True),
        ({"DatabaseReaderSecretArn": ""}, False),
        ({"DatabaseAuth": "iam", "DatabaseHost": "h"}, False),
        ({"DatabaseAuth": "iam", "DatabaseHost": "h", "DatabaseResourceId": "prx-1"}, True),
        ({"Generator": "bedrock", "ModelId": "m"}, False),
        ({"Generator": "bedrock", "ModelId": "m", "ModelArns": "arn"}, True),
        ({"Generator": "function"}, False),
        ({"Generator": "function", "GeneratorFunctionArn": "arn"}, True),
        ({"JwtIssuer": "none"}, False),
        ({"JwtIssuer": "none", "JwtSecretArn": "arn"}, True),
        ({"JwtSecretArn": "arn", "JwtJwksUrl": "https://keys.example"}, False),
        ({"SubnetIds": "subnet-1,subnet-2"}, False),
        ({"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1"}, True),
        ({"DomainName": "api.example"}, False),
        ({"ModelRegion": "us-east-1"}, True),
        ({"ModelRegion": "us-east-1", "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1"}, False),
        (
            {
                "ModelRegion": "us-east-1",
                "SubnetIds": "subnet-1",
                "SecurityGroupIds": "sg-1",
                "SubnetsHaveNat": "true",
            },
            True,
        ),
    ],
)
def test_parameters_that_cannot_work_together_are_refused_before_anything_is_made(
    given: dict[str, str], accepted: bool
) -> None:
    assert (broken_rules(ACCEPTED | given) == []) == accepted


SAMCONFIG = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())


def rate_rules() -> dict[str, dict[str, Any]]:
    """The rate rules of the firewall, by their aggregation key."""
    (firewall,) = of_type(TEMPLATE, "AWS::WAFv2::WebACL").values()
    assert firewall["DefaultAction"] == {"Allow": {}}
    rules = {}
    for rule in firewall["Rules"]:
        answer = rule["Action"]["Block"]["CustomResponse"]
        assert answer["ResponseCode"] == 429
        assert {"Name": "Access-Control-Allow-Origin", "Value": "*"} in answer["ResponseHeaders"]
        statement = rule["Statement"]["RateBasedStatement"]
        (key,) = statement.get("CustomKeys", [{"Address": {}}])
        rules[key["Header"]["Name"] if "Header" in key else statement["AggregateKeyType"]] = statement
    return rules


def test_the_firewall_limits_each_token_and_each_address_by_itself() -> None:
    rules = rate_rules()
    assert {name: rule["Limit"] for name, rule in rules.items()} == {
        "IP": {"Ref": "WafAddressRequestsPer5Minutes"},
        "authorization": {"Ref": "WafRequestsPer5Minutes"},
    }
    (association,) = of_type(TEMPLATE, "AWS::WAFv2::WebACLAssociation").values()
    assert association["ResourceArn"]["Fn::Sub"].endswith("/restapis/${TasksApi}/stages/${TasksApi.Stage}")


def test_a_token_is_one_caller_however_its_header_is_spelled() -> None:
    (key,) = rate_rules()["authorization"]["CustomKeys"]
    changes = sorted(key["Header"]["TextTransformations"], key=lambda change: int(change["Priority"]))
    assert [change["Type"] for change in changes] == ["COMPRESS_WHITE_SPACE", "LOWERCASE"]


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_no_caller_can_exhaust_the_limit_of_all_callers(name: str) -> None:
    overrides = SAMCONFIG[name]["deploy"]["parameters"]["parameter_overrides"]
    given = dict(override.split("=", 1) for override in overrides)

    def value(parameter: str) -> int:
        return int(given.get(parameter, TEMPLATE["Parameters"][parameter]["Default"]))

    of_all = value("ApiRequestsPerSecond") * 300
    of_token, of_address = value("WafRequestsPer5Minutes"), value("WafAddressRequestsPer5Minutes")
    assert 10 <= of_token <= of_address <= of_all / 2


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_each_environment_gives_every_required_parameter(name: str) -> None:
    deployed = SAMCONFIG[name]["deploy"]["parameters"]
    given = dict(override.split("=", 1) for override in deployed["parameter_overrides"])
    required = {name for name, each in TEMPLATE["Parameters"].items() if "Default" not in each}
    assert required <= given.keys() <= TEMPLATE["Parameters"].keys()
    assert broken_rules(given) == []


def test_the_stage_is_named_after_the_alias_that_it_runs() -> None:
    (api,) = of_type(TEMPLATE, "AWS::Serverless::Api").values()
    assert api["StageName"] == TEMPLATE["Globals"]["Function"]["AutoPublishAlias"] == "live"
    _, named, own = TEMPLATE["Outputs"]["ApiUrl"]["Value"]["Fn::If"]
    assert own["Fn::Sub"].endswith("/live")
    assert named["Fn::Sub"] == "https://${DomainName}", "the domain is mapped to the stage"


def database(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in DATABASE["Resources"].items() if each["Type"] == kind}


def test_a_created_database_has_a_standby_and_keeps_a_snapshot() -> None:
    assert len(database("AWS::RDS::DBInstance")) == 2
    (cluster,) = database("AWS::RDS::DBCluster").values()
    assert cluster["DeletionPolicy"] == cluster["UpdateReplacePolicy"] == "Snapshot"
    assert cluster["Properties"]["DeletionProtection"] == {"Ref": "DeletionProtection"}, "a parameter ends it"
    (key,) = database("AWS::KMS::Key").values()
    assert key["DeletionPolicy"] == "Retain", "the snapshot is encrypted with it"


def test_the_log_of_the_database_is_encrypted_and_ends() -> None:
    (logs,) = database("AWS::Logs::LogGroup").values()
    assert logs["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert logs["Properties"]["KmsKeyId"] == {"Fn::GetAtt": ["DatabaseKey", "Arn"]}
    (cluster,) = database("AWS::RDS::DBCluster").values()
    name = cluster["Properties"]["DBClusterIdentifier"]
    (exported,) = cluster["Properties"]["EnableCloudwatchLogsExports"]
    assert name == {"Ref": "AWS::StackName"}
    group = f"/aws/rds/cluster/${{AWS::StackName}}/{exported}"
    assert logs["Properties"]["LogGroupName"] == {"Fn::Sub": group}
    assert cluster["DependsOn"] == "DatabaseLogs", "else RDS makes it, without an end"
    (key,) = database("AWS::KMS::Key").values()
    allowed = json.dumps(key["Properties"]["KeyPolicy"])
    assert group.removesuffix(exported) in allowed


def test_the_proxy_logs_in_as_the_roles_that_functions_use() -> None:
    (role,) = database("AWS::IAM::Role").values()
    (statement,) = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "rds-db:connect"
    logged_in = [each["Fn::Sub"].rpartition("/")[2] for each in statement["Resource"]]
    assert logged_in == [f"${{DatabaseRolePrefix}}{role}" for role in ("migrator", "writer", "reader")]
    defaults = [each["Parameters"]["DatabaseRolePrefix"]["Default"] for each in (DATABASE, TEMPLATE)]
    assert defaults == ["roadmap_"] * 2


def test_the_database_has_no_route_to_the_internet() -> None:
    assert "0.0.0.0/0" not in json.dumps([DATABASE, TEMPLATE])


def test_the_outputs_of_the_database_are_parameters_of_the_stack() -> None:
    for_the_administrator = {"ClusterArn", "MasterSecretArn"}
    assert DATABASE["Outputs"].keys() - for_the_administrator <= TEMPLATE["Parameters"].keys()
