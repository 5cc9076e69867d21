"""Beliefs about deployments: they change the stack, and leave it as it was or with the given artefact."""

import re
import subprocess
import sys

from local_stack.builds import REPOSITORY

from .alarms import raise_alarm
from .belief import Answer, belief, held_if
from .stack import Stack
from .trial import RUN_PLAN, ask, end_of, insert, start

NO_RELEASES = "the local stack is deployed at once, and never updated"


def settled(stack: Stack) -> str:
    """The stack's status when nothing is in progress any more, or after half an hour."""

    def ended() -> str:
        status = str(stack.described_now()["StackStatus"])
        return "" if status.endswith("IN_PROGRESS") else status

    return str(stack.until(ended, 1_800, every=10)) or "IN_PROGRESS"


def deploy(stack: Stack) -> "subprocess.Popen[bytes]":
    """Start to deploy the artefact given as ARTIFACT, which must differ from the deployed one."""
    words = ["-m", "release", stack.tags["environment"], "--artifact", stack.artifact, "--yes"]
    return subprocess.Popen([sys.executable, *words], cwd=REPOSITORY, stdout=sys.stderr)


@belief(
    "cloudformation.DescribeStacks",
    "cloudformation.UpdateStack",
    "cloudformation.DescribeStackEvents",
    disturbs=True,
    only_aws=NO_RELEASES,
)
def migration_failure(stack: Stack) -> Answer:
    """A migration that refuses a deployment fails it with its reason, and CloudFormation goes back."""
    client, changed = stack.client("cloudformation"), "LogLevel"
    level = "DEBUG" if stack.parameters[changed] != "DEBUG" else "INFO"
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in stack.parameters if name != changed]
    # A changed parameter under the same release: the migration refuses it (StaleRelease). There is nothing to
    # undo: CloudFormation restores the parameter, also if this process is killed.
    client.update_stack(
        StackName=stack.name,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[*kept, {"ParameterKey": changed, "ParameterValue": level}],
    )
    status = settled(stack)
    events = client.describe_stack_events(StackName=stack.name)["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    told = next((reason for reason in reasons if "StaleRelease" in reason), "no event has the reason")
    return held_if(status == "UPDATE_ROLLBACK_COMPLETE" and "StaleRelease" in told, f"{status}: {told}")


@belief(
    "cloudformation.DescribeStacks",
    "cloudformation.DescribeStackResource",
    "cloudwatch.SetAlarmState",
    disturbs=True,
    needs_release=True,
    only_aws=NO_RELEASES,
)
def rollback(stack: Stack) -> Answer:
    """An alarm rolls a deployment back, and the same release deploys afterwards."""
    alarm = stack.resource("ApiErrorsAlarm")
    with deploy(stack) as first:
        while first.poll() is None:
            # Again and again: CloudWatch evaluates the alarm, and sets it back.
            if stack.described_now()["StackStatus"].startswith("UPDATE_IN_PROGRESS"):
                raise_alarm(stack, alarm)
            stack.pause(20)
    after = settled(stack)
    if after != "UPDATE_ROLLBACK_COMPLETE":
        return held_if(False, f"with the alarm raised, the deployment ended {after}")
    stack.remove_all()
    with deploy(stack) as second:
        code = second.wait()
    return held_if(code == 0, f"{after}; deployed again: {settled(stack)}, exit code {code}")


@belief(
    *RUN_PLAN,
    "stepfunctions.GetExecutionHistory",
    disturbs=True,
    needs_release=True,
    only_aws=NO_RELEASES,
)
def own_versions(stack: Stack) -> Answer:
    """A run of an earlier release is redriven on that release's own versions."""
    trial = insert(stack, with_a_fault=True)
    execution = start(stack, trial)
    end_of(stack, execution)
    before = _versions(stack, execution)
    with deploy(stack) as deployment:
        code = deployment.wait()
    status, _ = ask(stack, "POST", f"/tasks/{trial}/retry", force_checkpoint="true")
    end = end_of(stack, execution)
    after = _versions(stack, execution)
    held = (code, status, end) == (0, 202, "SUCCEEDED") and before == after
    return held_if(held, f"deployment {code}, redrive {status}, {end}, versions {before} then {after}")


def _versions(stack: Stack, execution: str) -> list[str]:
    """The versions of functions that a run has invoked."""
    pages = stack.client("stepfunctions").get_paginator("get_execution_history")
    invoked = [
        event.get("taskScheduledEventDetails", {}).get("parameters", "")
        for page in pages.paginate(executionArn=execution)
        for event in page["events"]
    ]
    return sorted(set(re.findall(r":function:([\w-]+:\d+)", "\n".join(invoked))))
