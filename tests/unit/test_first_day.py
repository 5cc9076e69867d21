"""Each belief of the first day, held and refuted by recorded answers. Requests and answers are validated
against the services' models, and compared with the plan that `--dry-run` prints.
"""

import io
import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast

import jwt
import pytest
from botocore.exceptions import NoCredentialsError

from first_day import __main__ as command
from first_day import gateway, releases
from first_day.belief import Verdict
from first_day.stack import Stack
from local_stack.builds import REPOSITORY
from release.clients import clients_of
from release.errors import ReleaseError
from release.stamp import parameters_of
from roadmap_content.contracts.erasure import Removed
from roadmap_content.platform.storage.keys import manifest_key
from tests.support.prepared_account import topic
from tests.support.recorded_aws import Answers, RecordedAws, refusal
from tests.support.templates import FUNCTIONS, STACK

ARN = "arn:aws:{}:eu-central-1:123456789012:{}"
MACHINE = ARN.format("states", "stateMachine:s-save-content")
EXECUTION = ARN.format("states", "execution:s-save-content:x")
GIVEN = {"DatabaseResourceId": "prx-1", "ModelArns": "a", "WafRequestsPer5Minutes": "1500"}
PARAMETERS = parameters_of(STACK, GIVEN)
TOKEN = "header.claims.signature"
NOTHING = Removed().model_dump(mode="json")
FAILED = {"errorType": "DatabaseUnavailableError", "errorMessage": "no answer"}


def described(
    status: str = "UPDATE_COMPLETE", first_day: str = "may-disturb", generator: str = "bedrock"
) -> dict[str, Any]:
    parameters = PARAMETERS | {"Generator": generator}
    outputs = {"StateMachineArn": MACHINE, "ContentBucket": "bucket", "ApiUrl": "http://api"}
    return {
        "Stacks": [
            {
                "StackStatus": status,
                "Tags": [{"Key": "environment", "Value": "x"}, {"Key": "first-day", "Value": first_day}],
                "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
                "Parameters": [
                    {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
                ],
            }
        ]
    }


def manifests_below(request: Mapping[str, Any]) -> Any:
    """The manifest of the trial that a prefix names, as the functions write it."""
    prefix = request["Prefix"]
    trial = re.search("first-day-[0-9a-f]+", prefix)
    key = manifest_key("" if trial is None else trial[0], 1, EXECUTION, b"")
    return {"Contents": [{"Key": key}]} if key.startswith(prefix) else {}


class Account:
    """A stack of which every belief holds. A test changes one answer."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.ends = iter(["FAILED", "SUCCEEDED"])
        self.updates = iter(["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"])
        self.invoked: Callable[[Mapping[str, Any]], Any] = lambda _: None
        """The answer of a function to an event that a test changes; `None` for the usual one."""

        self.things: set[str] = set()
        """The objects that were made, and are not removed."""

        self.codes = iter([1, 0])
        self.statuses: Callable[[str, str, str], int] = self.status_of
        self.stopped = False
        version = {
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "Role": "arn:aws:iam::123456789012:role/r",
        }
        self.answers: Answers = {
            "cloudformation.DescribeStacks": lambda _: described(),
            "cloudformation.ListStackResources": {
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": name,
                        "PhysicalResourceId": name,
                        "ResourceType": "AWS::Lambda::Function",
                    }
                    for name in FUNCTIONS
                ]
            },
            "cloudformation.DescribeStackResource": {
                "StackResourceDetail": {"PhysicalResourceId": "an-alarm"}
            },
            "cloudformation.UpdateStack": self.update,
            "cloudformation.DescribeStackEvents": events("StaleReleaseError: parameters have changed"),
            "cloudwatch.DescribeAlarms": alarms_named,
            "cloudwatch.GetMetricData": values_of(QUERIES),
            "cloudwatch.SetAlarmState": self.set_alarm,
            "cloudwatch.DescribeAlarmHistory": history("Successfully executed action arn:topic"),
            "cloudwatch.GetMetricStatistics": sums({"AWS/ApiGateway", "AWS/WAFV2", "RoadmapContent"}),
            "sns.GetTopicAttributes": topic(),
            "kms.DescribeKey": {"KeyMetadata": {"KeyId": "1", "KeyManager": "CUSTOMER"}},
            "logs.FilterLogEvents": self.lines,
            "lambda.GetFunctionConfiguration": version,
            "lambda.CreateFunction": self.makes("a function"),
            "lambda.DeleteFunction": self.removes("a function"),
            "lambda.GetFunctionConcurrency": {},
            "lambda.PutFunctionConcurrency": self.makes("a reservation"),
            "lambda.DeleteFunctionConcurrency": self.removes("a reservation"),
            "lambda.Invoke": self.invoke,
            "s3.PutObject": {},
            "s3.ListObjectsV2": manifests_below,
            "s3.HeadObject": lambda request: {
                "ServerSideEncryption": "aws:kms",
                "BucketKeyEnabled": request["Key"].startswith("manifests/tasks/first-day-"),
            },
            "stepfunctions.StartExecution": {"executionArn": EXECUTION},
            "stepfunctions.StopExecution": self.stop,
            "stepfunctions.DescribeExecution": lambda _: {"status": next(self.ends)},
            "stepfunctions.GetExecutionHistory": invoking("s-save:7"),
            "rds.DescribeDBClusters": {
                "DBClusters": [
                    {
                        "DBClusterIdentifier": "db",
                        "DbClusterResourceId": "cluster-1",
                        "Endpoint": "db.example",
                        "EngineVersion": "17.5",
                        "EarliestRestorableTime": datetime.now(UTC) - timedelta(days=7),
                        "LatestRestorableTime": datetime.now(UTC) - timedelta(minutes=5),
                        "TagList": [
                            {"Key": "aws:cloudformation:logical-id", "Value": "DatabaseCluster"},
                            {"Key": "first-day", "Value": "s"},
                        ],
                    }
                ]
            },
            "rds.FailoverDBCluster": {},
            "rds.DescribeDBProxies": {
                "DBProxies": [{"DBProxyName": "p", "DBProxyArn": "arn:aws:rds:r:1:db-proxy:prx-1"}]
            },
            "rds.DescribeDBProxyTargets": {"Targets": [{"TrackedClusterId": "db"}]},
        }

    def makes(self, thing: str) -> Callable[[Mapping[str, Any]], Any]:
        def make(_: Mapping[str, Any]) -> Any:
            self.things.add(thing)
            return {}

        return make

    def removes(self, thing: str) -> Callable[[Mapping[str, Any]], Any]:
        def remove(_: Mapping[str, Any]) -> Any:
            gone = thing not in self.things
            self.things.discard(thing)
            return refusal("ResourceNotFoundException") if gone and thing == "a function" else {}

        return remove

    def stop(self, request: Mapping[str, Any]) -> Any:
        assert request["executionArn"] == EXECUTION
        self.stopped, self.ends = True, iter(["ABORTED"])
        return {}

    def set_alarm(self, request: Mapping[str, Any]) -> Any:
        change = self.makes if request["StateValue"] == "ALARM" else self.removes
        return change("an alarm")(request)

    def update(self, _: Mapping[str, Any]) -> dict[str, Any]:
        self.answers["cloudformation.DescribeStacks"] = lambda _: described(
            next(self.updates, "UPDATE_ROLLBACK_COMPLETE")
        )
        return {}

    def invoke(self, request: Mapping[str, Any]) -> dict[str, Any]:
        event = json.loads(request["Payload"])
        usual = self.usual(event)
        answer = self.invoked(event) or usual
        failed = {"FunctionError": "Unhandled"} if "errorType" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), "StatusCode": 200} | failed

    def usual(self, event: Mapping[str, Any]) -> Any:
        match event:
            case {"keep_awake": True, "services": services}:
                return dict.fromkeys(services, "reached")
            case {"bytes": size}:
                return {"errorType": "Runtime.ExitError" if size else "Sandbox.Timedout"}
            case {"trial": trial}:
                self.things.add(trial)
            case {"httpMethod": "DELETE", "path": path, "queryStringParameters": query}:
                if "dry_run" not in query:
                    self.things.discard(path.split("/")[4])
                return reply(200, {"complete": True, "removed": NOTHING})
            case {"httpMethod": "POST"}:
                return reply(202, {"status": "processing"})
            case {"httpMethod": "GET"}:
                return reply(200, {"status": "failed" if self.stopped else "completed"})
        return {"before": "9", "after": "9"}

    def status_of(self, url: str, method: str, token: str) -> int:
        if "/console" in url:
            return 500 if "a reservation" in self.things else 200
        if url.endswith(gateway.PREFLIGHT):
            return 429
        if method == "OPTIONS":
            return 204
        if "/unknown-" in url:
            return 403
        return 200 if token == f"Bearer {TOKEN}" else 401

    def lines(self, request: Mapping[str, Any]) -> dict[str, Any]:
        mark = request["filterPattern"].strip('"')
        lines = [
            {"path": f"/live/{kind}-{mark}", "status": str(status), "error": error}
            for kind, (status, error) in gateway.REFUSALS.items()
        ]
        return {"events": [{"message": json.dumps(line)} for line in lines]}


def reply(status: int, body: object) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(body)}


QUERIES = {"value", "counted"}


def values_of(valued: Collection[str]) -> Callable[[Mapping[str, Any]], Any]:
    """The answers to queries, with values for those of some ids."""

    def answer(request: Mapping[str, Any]) -> Any:
        ids = [query["Id"] for query in request["MetricDataQueries"] if query.get("ReturnData", True)]
        found = [{"Id": each, "StatusCode": "Complete", "Values": [1.0] * (each in valued)} for each in ids]
        return {"MetricDataResults": found}

    return answer


def sums(namespaces: Collection[str]) -> Callable[[Mapping[str, Any]], Any]:
    """Metrics of some namespaces have points."""
    return lambda request: {"Datapoints": [{"Sum": 1000.0}] if request["Namespace"] in namespaces else []}


METRIC = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "service", "Value": "s"}]}
COUNTED = {
    "Id": "counted",
    "ReturnData": False,
    "MetricStat": {"Metric": METRIC, "Period": 300, "Stat": "Sum"},
}
NAMED_ALARMS: Mapping[str, list[dict[str, Any]]] = {
    "MetricAlarm": [
        {"AlarmName": "s-a", "Metrics": [{"Id": "value", "Expression": "counted + 1"}, COUNTED]},
        {"AlarmName": "s-b", **METRIC, "Period": 300, "Statistic": "Sum"},
        {"AlarmName": "another-a", **METRIC, "Period": 300, "Statistic": "Sum"},
    ],
    "CompositeAlarm": [{"AlarmName": "s-page-database", "AlarmActions": ["arn:topic"]}],
}


def alarms_named(request: Mapping[str, Any]) -> Any:
    """The alarms of the kinds and names of a request."""
    names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
    return {
        f"{kind}s": [
            each
            for each in NAMED_ALARMS[kind]
            if each["AlarmName"].startswith(prefix) and (names is None or each["AlarmName"] in names)
        ]
        for kind in request["AlarmTypes"]
    }


def history(summary: str) -> dict[str, Any]:
    return {"AlarmHistoryItems": [{"AlarmName": "s-page-database", "HistorySummary": summary}]}


def events(reason: str) -> dict[str, Any]:
    return {"StackEvents": [{"ResourceStatusReason": reason}]}


def invoking(*versions: str) -> Callable[[Mapping[str, Any]], Any]:
    """Histories that name one version each, the last one again and again."""
    left = list(versions)

    def answer(_: Mapping[str, Any]) -> Any:
        name = ARN.format("lambda", f"function:{left.pop(0) if len(left) > 1 else left[0]}")
        scheduled = {"parameters": json.dumps({"FunctionName": name})}
        event = {"type": "TaskScheduled", "id": 1, "taskScheduledEventDetails": scheduled}
        return {"events": [event]}

    return answer


class Process:
    """A deployment that ends at the second look."""

    def __init__(self, code: int) -> None:
        self._looks, self._code = iter([None, code]), code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def poll(self) -> int | None:
        return next(self._looks)

    def wait(self) -> int:
        return self._code


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account()

    def status_of(url: str, *, method: str = "GET", token: str = "") -> int:
        return account.statuses(url, method, token)

    monkeypatch.setattr(gateway, "status_of", status_of)
    monkeypatch.setattr(releases, "deploy", lambda _: Process(next(account.codes)))
    return account


READS = re.compile(r"\w+\.(Describe|Filter|Get|Head|List)")


class WatchedAws(RecordedAws):
    """Requires that a request that changes anything is sent only while the list can undo something."""

    todo = Path()

    def _answer(self, **event: Any) -> Any:
        operation = f"{event['model'].service_model.service_name}.{event['model'].name}"
        sent = json.loads(self._given.get("Payload", "{}"))
        asks = "keep_awake" in sent or "dry_run" in str(sent) or sent.get("httpMethod") == "GET"
        # CloudFormation itself restores a parameter that the migration refuses.
        if not (READS.match(operation) or asks or operation == "cloudformation.UpdateStack"):
            assert self.todo.exists(), f"{operation} is sent, and nothing would undo it"
        return super()._answer(**event)


AWS = WatchedAws()
CLIENTS = clients_of(AWS.session)


def stack_of(account: Account, folder: Path) -> Stack:
    AWS.answer_with(account.answers)
    AWS.todo = folder / "todo.json"
    return Stack(
        "s", CLIENTS, AWS.todo, command.UNDOING, artifact="another.tar.gz", token=TOKEN, pause=lambda _: None
    )


def nothing(_: Account) -> None:
    """Change nothing."""


def succeeds(account: Account) -> None:
    account.ends = iter(["SUCCEEDED"])


def of_a_function(account: Account) -> None:
    account.answers |= {"cloudformation.DescribeStacks": described(generator="function")}
    succeeds(account)


def rolled_back(account: Account) -> None:
    account.updates = iter([*["UPDATE_IN_PROGRESS"] * 3, "UPDATE_ROLLBACK_COMPLETE"])
    account.update({})


PREPARED: Mapping[str, Callable[[Account], None]] = {
    "bucket_key": succeeds,
    "failover": succeeds,
    "generator": of_a_function,
    "model": succeeds,
    "rollback": rolled_back,
    "own_versions": lambda account: setattr(account, "codes", iter([0])),
}


def answering(operation: str, answer: Any) -> Callable[[Account], None]:
    return lambda account: account.answers.update({operation: answer})


def event(key: str, answer: Any) -> Callable[[Account], None]:
    """A function that answers events with a key, or requests with a method, in another way."""
    return lambda account: setattr(
        account, "invoked", lambda sent: answer if key in sent or sent.get("httpMethod") == key else None
    )


def status(answer: int) -> Callable[[Account], None]:
    return lambda account: setattr(account, "statuses", lambda *_: answer)


def restorable(**moments: datetime) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        (cluster,) = cast("Any", account.answers["rds.DescribeDBClusters"])["DBClusters"]
        cluster.update(moments)

    return change


REFUTING: Mapping[str, tuple[Callable[[Account], None], str]] = {
    "aliases": (
        answering("lambda.GetFunctionConfiguration", {"State": "Inactive", "LastUpdateStatus": "Successful"}),
        "PlanBatchesFunction: Inactive",
    ),
    "database": (event("dry_run", FAILED), "DatabaseUnavailableError: no answer"),
    "endpoints": (
        event("keep_awake", {"s3": "reached", "secretsmanager": "timed out"}),
        "secretsmanager: timed out",
    ),
    "metrics": (answering("cloudwatch.GetMetricStatistics", sums(())), "LogLevel INFO: 0 sweeps"),
    "alarms": (
        answering("cloudwatch.GetMetricData", refusal("ValidationError", "AVG is not a function")),
        "AVG is not a function",
    ),
    "page": (answering("cloudwatch.DescribeAlarmHistory", history("Failed to execute action")), "Failed to"),
    "refusals": (status(404), "'unknown': 404"),
    "options": (status(403), "the answer is 403"),
    "token": (status(401), "answers [401, 401]"),
    "error_names": (event("bytes", {"errorType": "Runtime.OutOfMemory"}), "Runtime.OutOfMemory"),
    "bucket_key": (answering("s3.ListObjectsV2", {}), "has no manifest"),
    "generator": (lambda account: setattr(account, "ends", iter(["FAILED"])), "FAILED"),
    "model": (lambda account: setattr(account, "ends", iter(["FAILED"])), "FAILED"),
    "end_event": (event("GET", reply(200, {"status": "processing"})), "the task is recorded: False"),
    "redrive": (event("POST", reply(409, {"message": "not redrivable"})), "redrive 409"),
    "erasure": (
        event("DELETE", reply(200, {"complete": True, "removed": NOTHING | {"tasks": 1}})),
        "'tasks': 1",
    ),
    "restore": (restorable(LatestRestorableTime=datetime(2026, 1, 1, tzinfo=UTC)), "to 2026-01-01"),
    "reservation": (status(429), "the console answers 429"),
    "limit": (answering("cloudwatch.GetMetricStatistics", sums(())), "refused, 4XXError 0"),
    "firewall": (answering("cloudwatch.GetMetricStatistics", sums(())), "BlockedRequests 0"),
    "failover": (lambda account: setattr(account, "ends", iter(["FAILED"])), "FAILED"),
    "migration_failure": (
        answering("cloudformation.DescribeStackEvents", events("timed out")),
        "no event has",
    ),
    "rollback": (lambda account: setattr(account, "codes", iter([1, 1])), "exit code 1"),
    "own_versions": (
        answering("stepfunctions.GetExecutionHistory", invoking("s-save:7", "s-save:8")),
        "save:8",
    ),
}


def without_a_bucket_key(_: Mapping[str, Any]) -> Any:
    return {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": False}


ALSO = [
    ("bucket_key", answering("s3.HeadObject", without_a_bucket_key), "bucket key: False"),
    ("firewall", status(204), "0 refused"),
    ("limit", status(429), "another method answers 429"),
    ("restore", restorable(EarliestRestorableTime=datetime.now(UTC)), "to 20"),
    ("token", status(200), "answers [200, 200]"),
]
"""The other half of a belief that has two."""


def test_every_belief_can_be_refuted() -> None:
    assert REFUTING.keys() == command.BY_NAME.keys()


@pytest.mark.parametrize(
    ("name", "refuting", "said"), [*((name, *each) for name, each in REFUTING.items()), *ALSO]
)
def test_a_belief_is_held_and_refuted_by_what_aws_answers(
    name: str, refuting: Callable[[Account], None], said: str, account: Account, tmp_path: Path
) -> None:
    belief = command.BY_NAME[name]
    prepare = PREPARED.get(name, nothing)
    prepare(account)
    held = command.tried(belief, stack_of(account, tmp_path))
    sent = set(AWS.called)
    assert held.verdict is Verdict.HELD, held
    account.reset()
    prepare(account)
    refuting(account)
    refuted = command.tried(belief, stack_of(account, tmp_path))
    assert (refuted.verdict, said in refuted.said) == (Verdict.REFUTED, True), refuted
    assert sent | set(AWS.called) == set(belief.plan), "what --dry-run prints"
    assert (account.things, (tmp_path / "todo.json").exists()) == (set(), False), "all is removed"


class KilledError(BaseException):
    """The process ends here."""


def ending_after(answers: Answers, requests: int, lost: BaseException) -> Answers:
    """Answers of which all after so many do not arrive; of a process that is killed, with their effect."""
    left = iter(range(requests))

    def ending(answer: Any) -> Callable[[Mapping[str, Any]], Any]:
        def respond(request: Mapping[str, Any]) -> Any:
            ended = next(left, None) is None
            if ended and isinstance(lost, NoCredentialsError):
                raise lost  # the request is not sent
            answered = answer(request) if callable(answer) else answer
            if ended:
                raise lost
            return answered

        return respond

    return {operation: ending(answer) for operation, answer in answers.items()}


@pytest.mark.parametrize("lost", [KilledError(), NoCredentialsError()], ids=["killed", "credentials lost"])
@pytest.mark.parametrize("name", command.BY_NAME)
def test_an_interruption_at_any_request_leaves_a_list_that_a_second_call_works_off(
    name: str, lost: BaseException, account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted, survived = True, 0
    while interrupted:
        account.reset()
        PREPARED.get(name, nothing)(account)
        stack, whole = stack_of(account, tmp_path), dict(account.answers)
        account.answers |= ending_after(whole, survived, lost)
        with suppress(KilledError):
            command.tried(command.BY_NAME[name], stack)
        interrupted = survived < len(AWS.called)
        survived += 1
        listed = list(map(str, stack.left))
        assert len(account.things) <= len(listed), "the list names what is left"
        if listed and isinstance(lost, NoCredentialsError):
            command.remove_all(stack)
            assert listed[0] in capsys.readouterr().err
        account.answers |= whole
        assert command.remove_all(stack) == []
        assert (account.things, stack.left) == (set(), [])


def test_beliefs_that_disturb_are_asked_for_by_name_and_never_in_production(
    account: Account, tmp_path: Path
) -> None:
    disturbing = [belief for belief in command.BELIEFS if belief.disturbs]
    assert len(disturbing) == 8
    assert not set(disturbing) & set(command.chosen_beliefs("", smoke=False))
    assert command.chosen_beliefs("", smoke=False, is_local=True) == list(command.BELIEFS)
    assert command.chosen_beliefs("failover,limit", smoke=False) == [
        command.BY_NAME["failover"],
        command.BY_NAME["limit"],
    ]
    with pytest.raises(ReleaseError, match="no belief fail"):
        command.chosen_beliefs("fail", smoke=False)
    account.answers["cloudformation.DescribeStacks"] = lambda _: described(first_day="no")
    for belief in disturbing:
        answer = command.tried(belief, stack_of(account, tmp_path))
        assert (answer.verdict, "first-day=may-disturb" in answer.said) == (Verdict.NOT_TRIED, True)
        assert AWS.called == ["cloudformation.DescribeStacks"]


@pytest.mark.parametrize(
    ("valued", "verdict", "said"),
    [
        ({"counted"}, Verdict.REFUTED, "s-a: its metrics have values, and its expression has none"),
        (set(), Verdict.REFUTED, "2 alarms; without a metric that has values yet: s-a, s-b"),
        ({"counted", "value"}, Verdict.HELD, "yet: none"),
    ],
)
def test_an_expression_without_a_value_is_not_held(
    account: Account, tmp_path: Path, valued: set[str], verdict: Verdict, said: str
) -> None:
    account.answers["cloudwatch.GetMetricData"] = values_of(valued)
    answer = command.tried(command.BY_NAME["alarms"], stack_of(account, tmp_path))
    assert (answer.verdict, said in answer.said) == (verdict, True), answer


@pytest.mark.parametrize("changed", [{"first-day": "another"}, {"aws:cloudformation:logical-id": "Theirs"}])
def test_a_failover_is_only_of_the_cluster_that_is_made_for_the_stack(
    account: Account, tmp_path: Path, changed: dict[str, str]
) -> None:
    (cluster,) = cast("Any", account.answers["rds.DescribeDBClusters"])["DBClusters"]
    tags = {tag["Key"]: tag["Value"] for tag in cluster["TagList"]} | changed
    cluster["TagList"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    answer = command.tried(command.BY_NAME["failover"], stack_of(account, tmp_path))
    assert (answer.verdict, "--tags first-day=s" in answer.said) == (Verdict.NOT_TRIED, True)
    assert "rds.FailoverDBCluster" not in AWS.called


def test_a_token_that_is_refused_makes_the_authorizer_read_the_keys() -> None:
    given = parameters_of(STACK, {"JwtIssuer": "https://issuer.example", "JwtAudience": "a"})
    for secret, algorithm in (("", "RS256"), ("arn", "HS256")):
        unsigned = gateway.unsigned_token(given | {"JwtSecretArn": secret})
        assert jwt.get_unverified_header(unsigned)["alg"] == algorithm
        claims = jwt.decode(unsigned, options={"verify_signature": False})
        assert (claims["iss"], claims["aud"]) == ("https://issuer.example", "a")


def test_beliefs_about_deployments_ask_for_another_release(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("rollback", "own_versions"):
        answer = command.tried(command.BY_NAME[name], replace(stack_of(account, tmp_path), artifact=""))
        assert (answer.verdict, "ARTIFACT=FILE" in answer.said) == (Verdict.NOT_TRIED, True)
    assert set(AWS.called) <= {"cloudformation.DescribeStacks"}
    capsys.readouterr()
    command.first_day("s", only="rollback,own_versions,failover", dry_run=True)
    assert capsys.readouterr().out.count("needs another release: ARTIFACT=FILE") == 2


def test_the_command_removes_what_is_left_tries_and_keeps_the_answers(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stack = stack_of(account, tmp_path)
    monkeypatch.setattr(command, "stack_named", lambda _: stack)
    account.things.add("a reservation")
    stack.before("lambda.DeleteFunctionConcurrency", FunctionName="ConsoleFunction")
    account.ends = iter(["FAILED", "SUCCEEDED"])
    with pytest.raises(SystemExit) as ended:
        command.first_day("s", smoke=True)
    assert ended.value.code == 0
    assert account.things == set()
    kept = json.loads((tmp_path / "first-day-s.json").read_text())
    assert {name: each["verdict"] for name, each in kept.items()} == {
        belief.name: "held" for belief in command.BELIEFS if belief.smoke
    }
    account.reset()
    account.invoked = lambda sent: FAILED if "trial" in sent else None
    AWS.answer_with(account.answers)
    with pytest.raises(SystemExit) as ended:
        command.first_day("s", smoke=True)
    assert ended.value.code == 1, "a pipeline does not go on with a trial that was refused"
    AWS.called.clear()
    command.first_day("s", dry_run=True)
    assert AWS.called == []


PAGE = (REPOSITORY / "docs/first-day.md").read_text()


def test_the_page_has_each_belief_once() -> None:
    rows = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == list(command.BY_NAME)
