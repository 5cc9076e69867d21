"""`python -m benchmarks.cold`: the duration of each function's first invocation, in fresh processes.

Each function as it is deployed: its `app.py`, the built layers with their `.pyc` files, and the packages of
the Lambda runtime. Each value comes from a new process, in turn. *Import* is the import of `app`; for
comparison, an interpreter that imports nothing, and the import of a *lean lab set* (SQLAlchemy Core, pg8000,
the Powertools logger and one pydantic model). *First invocation* is the first response after the import:
clients are created, a secret is read, PostgreSQL is connected, S3 is read, on the local stack. The time in
which Lambda prepares its sandbox and downloads the code is not included.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import text

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.layers import build_layers
from local_stack.stack import LocalStack
from local_stack.template_file import read_template
from roadmap_command.demo import SAMPLE, with_offline_content
from roadmap_command.load import load_bundle
from roadmap_command.target import Target as Deployed
from roadmap_content.content.bundle import Bundle, read_bundle
from roadmap_content.platform.runtime.deadline import Deadline

from .measuring import Trial, in_turn, paired_ratio, seconds_of
from .report import Limit, arguments_of, show_limits, show_machine, show_values

ROUNDS = 7
BARE, LAB = "bare interpreter", "lean lab set"
SAVER = "SaveBatchFunction"
RUNTIME_SDK = f"{SAVER}, with the runtime's SDK"

LAB_SET = """
import sqlalchemy, pg8000.dbapi
from aws_lambda_powertools import Logger
from pydantic import BaseModel
class Model(BaseModel):
    number: int
"""

_RUN = """
import json, os, sys, time
started = time.perf_counter()
exec(os.environ["STATEMENT"])
imported = time.perf_counter()
answer = None
if "EVENT" in os.environ:
    class Context:
        function_name, memory_limit_in_mb, aws_request_id = "f", 512, "r"
        invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
        def get_remaining_time_in_millis(self):
            return 60_000
    event = json.loads(os.environ["EVENT"])
    sys.stdout = open(os.devnull, "w")
    answer = app.handler(event, Context())
    sys.stdout = sys.__stdout__
print(json.dumps([imported - started, time.perf_counter() - imported, answer]))
"""

_RESET = text(
    "UPDATE roadmap_tasks SET attempt = 0, status = 'pending', execution_arn = NULL, completed_at = NULL"
)


class Measured(NamedTuple):
    """Seconds of one fresh process, and the response of its handler."""

    imported: float
    invoked: float
    answer: Any


class Functions:
    """The deployed functions, each run in a fresh process."""

    def __init__(self, stack: LocalStack) -> None:
        self._resources = {
            logical_id: resource["Properties"]
            for logical_id, resource in read_template(REPOSITORY / "template.yaml")["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        }
        self._python = environment_python("runtime")
        self._layers = build_layers()
        self._stack = stack
        self._variables = stack.variables()

    def run(self, logical_id: str, event: object, common: Path | None = None) -> Measured:
        """Import a function and invoke it once, with the common layer or with another one in its place."""
        properties = self._resources[logical_id]
        layers = [
            common or self._layers["CommonLayer"],
            *(self._layers[layer["Ref"]] for layer in properties.get("Layers", [])),
        ]
        return self.execute(
            "import app",
            [
                str(REPOSITORY / properties["CodeUri"]),
                *(str(layer / "python") for layer in layers),
            ],
            self._variables[logical_id] | {"EVENT": json.dumps(event)},
        )

    def common_layer_without_sdk(self, folder: Path) -> Path:
        """A copy of the common layer, with which a function uses the runtime's SDK."""
        sdk = shutil.ignore_patterns("boto3*", "botocore*", "s3transfer*", "urllib3*")
        return shutil.copytree(self._layers["CommonLayer"], folder, ignore=sdk)

    def lab(self) -> Measured:
        """Import the lean lab set."""
        return self.execute(LAB_SET, [str(self._layers["CommonLayer"] / "python")], {})

    def bare(self) -> float:
        """Seconds of an interpreter without any imports."""
        return seconds_of(lambda: subprocess.run([self._python, "-c", "pass"], check=True))

    def execute(self, statement: str, path: list[str], variables: Mapping[str, str]) -> Measured:
        """Run a statement in a fresh process; if there is an event, invoke the imported handler with it."""
        environment = {"PATH": os.environ["PATH"], **self._stack.environment, **variables}
        done = subprocess.run(
            [self._python, "-c", _RUN],
            env=environment | {"PYTHONPATH": ":".join(path), "STATEMENT": statement},
            check=True,
            stdout=subprocess.PIPE,  # a traceback is shown
            text=True,
            timeout=60,
        )
        return Measured(*json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    arguments = arguments_of(__doc__ or "", rounds=ROUNDS)
    bundle = read_bundle(with_offline_content(json.loads(SAMPLE.read_bytes())))
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-benchmark-") as folder,
        LocalStack.start(Path(folder)) as stack,
    ):
        deployed = Deployed.local(stack)
        load_bundle(bundle, deployed.engine, deployed.bucket, Deadline.after(60))
        imports, first = _measure(stack, deployed, bundle, Path(folder) / "without-sdk", arguments.rounds)
        deployed.engine.dispose()
    show_values(
        "Import, in a fresh process", "process", {name: {1: each} for name, each in imports.items()}, BARE
    )
    invoked = {name: {1: seconds} for name, seconds in first.items()}
    show_values("First invocation, after the import", "process", invoked, SAVER)
    show_machine("SQLAlchemy", "pg8000", "pydantic", "aws-lambda-powertools")
    saver = Limit(
        "import of the saver, as a multiple of the lean lab set's",
        paired_ratio(imports[SAVER], imports[LAB]).median,
        250 / 254,
        reason="It imports its own modules besides the packages of the set.",
    )
    show_limits([saver], room=0.3 if arguments.short else None)


def _measure(
    stack: LocalStack, deployed: Deployed, bundle: Bundle, folder: Path, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    functions = Functions(stack)
    events = _events(functions, stack, bundle)
    without_sdk = functions.common_layer_without_sdk(folder)
    first: dict[str, list[float]] = {name: [] for name in (*events, RUNTIME_SDK)}

    def trial(name: str) -> float:
        if name == "PlanBatchesFunction":
            with deployed.engine.begin() as connection:
                connection.execute(_RESET)
        logical_id, common = (SAVER, without_sdk) if name == RUNTIME_SDK else (name, None)
        measured = functions.run(logical_id, events[logical_id], common)
        first[name].append(measured.invoked)
        return measured.imported

    trials: dict[str, Trial] = {
        BARE: functions.bare,
        LAB: lambda: functions.lab().imported,
        **{name: partial(trial, name) for name in first},
    }
    imports = in_turn(trials, rounds)
    return imports, {logical_id: seconds[-rounds:] for logical_id, seconds in first.items()}


def _events(functions: Functions, stack: LocalStack, bundle: Bundle) -> dict[str, dict[str, Any]]:
    """An event for each function, in the order of a task's life."""
    task_id, user_id = bundle.task.task_id, bundle.task.user_id
    execution = {"Id": f"{stack.state_machine_arn.replace(':stateMachine:', ':execution:')}:{task_id}-r1"}
    plan_event = {"input": {"task_id": task_id}, "execution": execution}
    planned = functions.run("PlanBatchesFunction", plan_event).answer
    batch_event = {"plan": planned["plan"], "batch": planned["batches"][0], "execution_arn": execution["Id"]}
    outcome = {
        "task_id": task_id,
        "attempt": 1,
        "status": "partial_failure",
        "complete": False,
        "missing": {},
    }
    api_event = json.loads((REPOSITORY / "events/task_api.json").read_bytes()) | {
        "httpMethod": "GET",
        "path": f"/api/v1/tasks/{task_id}",
        "resource": "/api/v1/tasks/{task_id}",
        "pathParameters": {"task_id": task_id},
        "queryStringParameters": {"user_id": user_id},
        "multiValueQueryStringParameters": {"user_id": [user_id]},
    }
    api_event["requestContext"]["authorizer"] = {"principalId": user_id, "user_id": user_id}
    authorizer_event = json.loads((REPOSITORY / "events/authorize_request.json").read_bytes())
    return {
        "PlanBatchesFunction": plan_event,
        "GenerateContentFunction": batch_event,
        SAVER: batch_event,
        "FinalizeTaskFunction": plan_event | {"plan": planned["plan"]},
        "AwaitRedriveFunction": {
            "outcome": outcome | {"planned_redrive_count": 0},
            # Another execution: that of the events before has ended, and its late steps are refused.
            "execution": {"Id": f"{execution['Id']}-redriven", "RedriveCount": 1},
        },
        "ReconcileTaskFunction": {},
        "AuthorizeRequestFunction": authorizer_event
        | {"authorizationToken": f"Bearer {stack.token(user_id)}"},
        "TaskApiFunction": api_event,
        "RecoveryApiFunction": json.loads((REPOSITORY / "events/recovery_api.json").read_bytes()),
        "ConsoleFunction": json.loads((REPOSITORY / "events/console.json").read_bytes()),
        "MigrateDatabaseFunction": {"dry_run": False},
    }


if __name__ == "__main__":
    main()
