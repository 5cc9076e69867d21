"""Beliefs about deployments: they change the stack, and leave it as it was or with the given artefact."""

import re
import subprocess
import sys
from collections.abc import Mapping

from local_stack.builds import REPOSITORY

from .belief import Answer, Belief, NotRemovedError, NotTriedError, held_if
from .trial import RUN_PLAN, TrialBelief

_STATUS = ("cloudformation.DescribeStacks",)


def status_of(belief: Belief) -> str:
    """The stack's status now."""
    (stack,) = belief.stack.client("cloudformation").describe_stacks(StackName=belief.stack.name)["Stacks"]
    return str(stack["StackStatus"])


def settled(belief: Belief) -> str:
    """The stack's status when nothing is in progress any more, or after half an hour."""

    def ended() -> str:
        status = status_of(belief)
        return "" if status.endswith("IN_PROGRESS") else status

    return str(belief.stack.until(ended, 1_800, every=10)) or "IN_PROGRESS"


class FailedMigrationIsRolledBack(Belief):
    """A migration that refuses a deployment fails it with its reason, and CloudFormation goes back."""

    name = "migration_failure"
    plan = (*_STATUS, "cloudformation.UpdateStack", "cloudformation.DescribeStackEvents")
    disturbs = True

    def attempt(self) -> Answer:
        client, changed = self.stack.client("cloudformation"), "LogLevel"
        level = "DEBUG" if self.stack.parameters[changed] != "DEBUG" else "INFO"
        kept = [
            {"ParameterKey": name, "UsePreviousValue": True}
            for name in self.stack.parameters
            if name != changed
        ]
        self.making(stack=self.stack.name)
        # A changed parameter under the same release: the migration refuses it (StaleRelease).
        client.update_stack(
            StackName=self.stack.name,
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[*kept, {"ParameterKey": changed, "ParameterValue": level}],
        )
        status = settled(self)
        events = client.describe_stack_events(StackName=self.stack.name)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events]
        told = next((reason for reason in reasons if "StaleRelease" in reason), "no event has the reason")
        return held_if(status == "UPDATE_ROLLBACK_COMPLETE" and "StaleRelease" in told, f"{status}: {told}")

    def undo(self, made: Mapping[str, str]) -> None:
        if settled(self).endswith("IN_PROGRESS"):
            raise NotRemovedError(f"{made['stack']} is still being updated")


class Deploying(Belief):
    """A belief that deploys the artefact given as ARTIFACT, which must differ from what is deployed."""

    def deploy(self) -> "subprocess.Popen[bytes]":
        """Start the deployment."""
        if not self.stack.artifact:
            raise NotTriedError("give another release: ARTIFACT=FILE")
        environment = self.stack.tags["environment"]
        words = ["-m", "release", environment, "--artifact", self.stack.artifact, "--yes"]
        return subprocess.Popen([sys.executable, *words], cwd=REPOSITORY, stdout=sys.stderr)


class AlarmRollsBack(Deploying):
    """An alarm rolls a deployment back, and the same release deploys afterwards."""

    name = "rollback"
    plan = (*_STATUS, "cloudformation.DescribeStackResource", "cloudwatch.SetAlarmState")
    disturbs = True

    def attempt(self) -> Answer:
        alarm = self.stack.resource("ApiErrorsAlarm")
        with self.deploy() as first:
            self.making(alarm=alarm)
            while first.poll() is None:
                if status_of(self).startswith("UPDATE_IN_PROGRESS"):
                    self._set(alarm, "ALARM")
                self.stack.pause(20)
        after = settled(self)
        self._set(alarm, "OK")
        if after != "UPDATE_ROLLBACK_COMPLETE":
            return held_if(False, f"with the alarm raised, the deployment ended {after}")
        with self.deploy() as second:
            code = second.wait()
        return held_if(code == 0, f"{after}; deployed again: {settled(self)}, exit code {code}")

    def undo(self, made: Mapping[str, str]) -> None:
        self._set(made["alarm"], "OK")

    def _set(self, alarm: str, state: str) -> None:
        self.stack.client("cloudwatch").set_alarm_state(
            AlarmName=alarm,
            StateValue=state,
            StateReason="make first-day: a rollback is tried",
        )


class RedriveKeepsItsVersions(TrialBelief, Deploying):
    """A run of an earlier release is redriven on that release's own versions."""

    name = "own_versions"
    plan = (*RUN_PLAN, "stepfunctions.GetExecutionHistory")
    disturbs = True

    def attempt(self) -> Answer:
        if not self.stack.artifact:
            raise NotTriedError("give another release: ARTIFACT=FILE")
        trial = self.insert(with_a_fault=True)
        execution = self.start(trial)
        self.end_of(execution)
        before = self._versions(execution)
        with self.deploy() as deployment:
            code = deployment.wait()
        status, _ = self.ask("POST", f"/tasks/{trial}/retry", force_checkpoint="true")
        end = self.end_of(execution)
        after = self._versions(execution)
        held = (code, status, end) == (0, 202, "SUCCEEDED") and before == after
        return held_if(held, f"deployment {code}, redrive {status}, {end}, versions {before} then {after}")

    def _versions(self, execution: str) -> list[str]:
        """The versions of functions that a run has invoked."""
        pages = self.stack.client("stepfunctions").get_paginator("get_execution_history")
        found = {
            version
            for page in pages.paginate(executionArn=execution)
            for event in page["events"]
            for version in re.findall(
                r":function:([\w-]+:\d+)", event.get("taskScheduledEventDetails", {}).get("parameters", "")
            )
        }
        return sorted(found)
