"""The first day's own decisions: the beliefs that are tried, the list of changes to undo, the results.
Whether a belief holds, only AWS can answer; the local stack answers some (tests/workflow/test_first_day.py).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore import xform_name

from first_day import __main__ as command
from first_day import alarms, functions, gateway, trial
from first_day.belief import Answer, Belief, NotTriedError, Verdict, held_if
from first_day.stack import Stack
from local_stack.builds import REPOSITORY
from release.clients import clients_of
from release.errors import ReleaseError
from release.stamp import parameters_of
from tests.support.recorded_aws import Answers, RecordedAws, refusal
from tests.support.templates import FUNCTIONS, STACK

PARAMETERS = parameters_of(STACK, {"DatabaseResourceId": "cluster-1", "ModelArns": "a"})
LISTED = [
    {"LogicalResourceId": name, "PhysicalResourceId": name, "ResourceType": "AWS::Lambda::Function"}
    for name in FUNCTIONS
]
AWS = RecordedAws()
CLIENTS = clients_of(AWS.session)


def described(first_day: str) -> dict[str, Any]:
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()]
    tags = [{"Key": "first-day", "Value": first_day}]
    return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Tags": tags, "Parameters": parameters}]}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack on which a belief may disturb users."""
    answer_with({})
    return Stack("s", CLIENTS, tmp_path / "todo.json", {}, artifact="another.tar.gz", pause=lambda _: None)


def answer_with(answers: Answers) -> None:
    usual: Answers = {
        "cloudformation.DescribeStacks": described("may-disturb"),
        "cloudformation.ListStackResources": {"StackResourceSummaries": LISTED},
    }
    AWS.answer_with(usual | answers)


def test_beliefs_that_disturb_are_asked_for_by_name_and_never_in_production(stack: Stack) -> None:
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
    for belief in disturbing:
        answer_with({"cloudformation.DescribeStacks": described("no")})
        answer = command.tried(belief, replace(stack))
        assert (answer.verdict, "first-day=may-disturb" in answer.said) == (Verdict.NOT_TRIED, True)
        assert AWS.called == ["cloudformation.DescribeStacks"]


@pytest.mark.parametrize("tag", ["first-day", "aws:cloudformation:logical-id"])
def test_a_failover_is_only_of_the_cluster_that_is_made_for_the_stack(stack: Stack, tag: str) -> None:
    tags = {"aws:cloudformation:logical-id": "DatabaseCluster", "first-day": "s"} | {tag: "another"}
    cluster = {
        "DBClusterIdentifier": "db",
        "DbClusterResourceId": "cluster-1",
        "EngineVersion": "17.5",
        "TagList": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    answer_with({"rds.DescribeDBClusters": {"DBClusters": [cluster]}})
    answer = command.tried(command.BY_NAME["failover"], stack)
    assert (answer.verdict, "--tags first-day=s" in answer.said) == (Verdict.NOT_TRIED, True)
    assert "rds.FailoverDBCluster" not in AWS.called


METRIC = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "service", "Value": "s"}]}
COUNTED = {
    "Id": "counted",
    "ReturnData": False,
    "MetricStat": {"Metric": METRIC, "Period": 300, "Stat": "Sum"},
}
ALARMS = [
    {"AlarmName": "s-a", "Metrics": [{"Id": "value", "Expression": "counted + 1"}, COUNTED]},
    {"AlarmName": "s-b", **METRIC, "Period": 300, "Statistic": "Sum"},
]


@pytest.mark.parametrize(
    ("valued", "verdict", "said"),
    [
        ({"counted"}, Verdict.REFUTED, "s-a: its metrics have values, and its expression has none"),
        (set(), Verdict.REFUTED, "2 alarms; without a metric that has values yet: s-a, s-b"),
        ({"counted", "value"}, Verdict.HELD, "yet: none"),
    ],
)
def test_an_expression_without_a_value_is_not_held(
    stack: Stack, valued: set[str], verdict: Verdict, said: str
) -> None:
    def values(request: Mapping[str, Any]) -> Any:
        ids = [query["Id"] for query in request["MetricDataQueries"] if query.get("ReturnData", True)]
        found = [{"Id": each, "StatusCode": "Complete", "Values": [1.0] * (each in valued)} for each in ids]
        return {"MetricDataResults": found}

    answer_with({"cloudwatch.DescribeAlarms": {"MetricAlarms": ALARMS}, "cloudwatch.GetMetricData": values})
    answer = command.tried(command.BY_NAME["alarms"], stack)
    assert (answer.verdict, said in answer.said) == (verdict, True), answer


def test_a_token_that_is_refused_makes_the_authorizer_read_the_keys() -> None:
    given = parameters_of(STACK, {"JwtIssuer": "https://issuer.example", "JwtAudience": "a"})
    for secret, algorithm in (("", "RS256"), ("arn", "HS256")):
        unsigned = gateway.unsigned_token(given | {"JwtSecretArn": secret})
        assert jwt.get_unverified_header(unsigned)["alg"] == algorithm
        claims = jwt.decode(unsigned, options={"verify_signature": False})
        assert (claims["iss"], claims["aud"]) == ("https://issuer.example", "a")


class KilledError(BaseException):
    """The process ends here."""


def killed(_: Mapping[str, Any]) -> Any:
    raise KilledError


CHANGES: Mapping[str, tuple[Callable[[Stack], object], str, str]] = {
    "an alarm": (
        lambda stack: alarms.raise_alarm(stack, "an-alarm"),
        "cloudwatch.SetAlarmState",
        "cloudwatch.SetAlarmState",
    ),
    "a function": (functions.error_names.attempt, "lambda.CreateFunction", "lambda.DeleteFunction"),
    "a reservation": (
        gateway.reservation.attempt,
        "lambda.PutFunctionConcurrency",
        "lambda.DeleteFunctionConcurrency",
    ),
    "a trial": (trial.insert, "lambda.Invoke", "erase"),
}


@pytest.mark.parametrize(("make", "change", "undo"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_in_the_list_before_it_is_made(
    stack: Stack, make: Callable[[Stack], object], change: str, undo: str
) -> None:
    role = {"Role": "arn:aws:iam::123456789012:role/r"}
    answer_with(
        {"lambda.GetFunctionConfiguration": role, "lambda.GetFunctionConcurrency": {}, change: killed}
    )
    with pytest.raises(KilledError):
        make(stack)
    (listed,) = stack.left
    assert listed.operation == undo


def test_a_second_call_works_the_list_off(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    erased: list[str] = []
    undoing = {"erase": lambda _, trial: erased.append(trial)}
    stack.before("lambda.DeleteFunctionConcurrency", FunctionName="a")
    stack.before("lambda.DeleteFunction", FunctionName="b")
    stack.before("erase", trial="c")
    later = replace(stack, undoing=undoing)

    gone = refusal("ResourceNotFoundException")
    answer_with({"lambda.DeleteFunctionConcurrency": refusal("Throttled"), "lambda.DeleteFunction": gone})
    (left,) = command.remove_all(later)
    assert "DeleteFunctionConcurrency" in left
    assert left in capsys.readouterr().err
    assert erased == ["c"]

    answer_with({"lambda.DeleteFunctionConcurrency": {}})
    assert command.remove_all(later) == []
    assert (erased, stack.left, stack.todo.exists()) == (["c"], [], False)


def belief(verdict: Verdict, *, needs_release: bool = False) -> Belief:
    def attempt(stack: Stack) -> Answer:
        stack.before("lambda.DeleteFunction", FunctionName="f")
        if verdict is Verdict.NOT_TRIED:
            raise NotTriedError("something is missing")
        return held_if(verdict is Verdict.HELD, "said")

    attempt.__name__, attempt.__doc__ = verdict.replace(" ", "_"), "A claim."
    return Belief(
        attempt, (), disturbs=False, pages=False, needs_release=needs_release, smoke=True, only_aws=""
    )


@pytest.mark.parametrize(
    ("verdicts", "smoke", "code"),
    [
        ([Verdict.HELD], True, 0),
        ([Verdict.HELD, Verdict.NOT_TRIED], False, 0),
        ([Verdict.HELD, Verdict.NOT_TRIED], True, 1),  # a pipeline does not go on
        ([Verdict.HELD, Verdict.REFUTED], False, 1),
    ],
)
def test_the_results_are_kept_and_decide_the_exit_code(
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: list[Verdict],
    smoke: bool,
    code: int,
) -> None:
    answer_with({"lambda.DeleteFunction": {}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "stack_named", lambda _: stack)
    monkeypatch.setattr(command, "BELIEFS", [belief(verdict) for verdict in verdicts])
    with pytest.raises(SystemExit) as ended:
        command.first_day("s", smoke=smoke)
    assert ended.value.code == code
    kept = json.loads((tmp_path / "first-day-s.json").read_text())
    assert [each["verdict"] for each in kept.values()] == verdicts
    assert AWS.called == ["lambda.DeleteFunction"] * len(verdicts)
    assert stack.left == []


def test_nothing_is_tried_before_the_former_changes_are_undone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with({"lambda.DeleteFunction": refusal("Throttled")})
    stack.before("lambda.DeleteFunction", FunctionName="f")
    monkeypatch.setattr(command, "stack_named", lambda _: stack)
    with pytest.raises(SystemExit) as ended:
        command.first_day("s", smoke=True)
    assert (ended.value.code, AWS.called) == (1, ["lambda.DeleteFunction"])


def test_a_plan_sends_nothing_and_names_what_is_missing(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("rollback", "own_versions"):
        answer = command.tried(command.BY_NAME[name], replace(stack, artifact=""))
        assert (answer.verdict, "ARTIFACT=FILE" in answer.said) == (Verdict.NOT_TRIED, True)
    AWS.called.clear()
    capsys.readouterr()
    command.first_day("s", only="rollback,own_versions,failover", dry_run=True)
    assert capsys.readouterr().out.count("needs another release: ARTIFACT=FILE") == 2
    assert AWS.called == []


def test_the_plans_have_every_operation_of_the_code() -> None:
    """The deploy role's rights are compared with the plans."""
    plans = {operation for each in command.BELIEFS for operation in each.plan}
    sources = "\n".join(path.read_text() for path in (REPOSITORY / "tools/first_day").glob("*.py"))
    words = set(re.findall(r'\.([a-z_]+)\(|get_paginator\("([a-z_]+)"', sources))
    called = {word for pair in words for word in pair}
    for service in {operation.partition(".")[0] for operation in plans}:
        for name in CLIENTS(service, "").meta.service_model.operation_names:
            assert xform_name(name) not in called or f"{service}.{name}" in plans, name


def test_the_page_has_each_belief_once() -> None:
    page = (REPOSITORY / "docs/first-day.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == list(command.BY_NAME)
