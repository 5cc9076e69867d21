"""`python -m benchmarks.cold`: the duration of each function's first invocation, in fresh processes.

Each function as it is deployed: its `app.py`, the built layers with their `.pyc` files, and the packages of
the Lambda runtime. Each value comes from a new process, in turn. *Import* is the processor time of the import
of `app`; for comparison, that of a *lean lab set* (SQLAlchemy Core, pg8000, the Powertools logger and one
pydantic model). *First invocation* is the first response after the import: clients are created, a secret is
read, PostgreSQL is connected, S3 is read, on the local stack. The time in which Lambda prepares its sandbox
and downloads the code is not included.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.layers import build_layers
from local_stack.stack import LocalStack
from local_stack.template_file import read_template
from roadmap_command.demo import SAMPLE, with_offline_content
from roadmap_command.load import load_bundle
from roadmap_command.target import Target as Deployed
from roadmap_content.content.bundle import BundleTask, read_bundle
from roadmap_content.platform.runtime.deadline import Deadline

from .measuring import Trial, in_turn, median_ratio
from .report import Limit, arguments_of, show_limits, show_machine, show_values

ROUNDS = 7
LAB = "lean lab set"
SAVER = "SaveBatchFunction"

LAB_SET = """
import sqlalchemy, pg8000.dbapi
from aws_lambda_powertools import Logger
from pydantic import BaseModel
class Model(BaseModel):
    number: int
"""

_RUN = """
import json, os, sys, time
begun = time.process_time()
exec(os.environ["STATEMENT"])
imported = time.process_time() - begun
answer = None
started = time.perf_counter()
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
print(json.dumps([imported, time.perf_counter() - started, answer]))
"""


class Measured(NamedTuple):
    """Seconds of one fresh process (the import: of the processor), and the response of its handler."""

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
        self.layers = build_layers()
        self._stack = stack
        self._variables = stack.variables()

    @property
    def names(self) -> list[str]:
        """The functions that the local stack has."""
        return [name for name in self._resources if name in self._variables]

    def run(self, logical_id: str, event: object = None) -> Measured:
        """Import a function and, with an event, invoke it once."""
        properties = self._resources[logical_id]
        others = [self.layers[layer["Ref"]] for layer in properties.get("Layers", [])]
        path = [str(layer / "python") for layer in [self.layers["CommonLayer"], *others]]
        given = {} if event is None else {"EVENT": json.dumps(event)}
        source = str(REPOSITORY / properties["CodeUri"])
        return self.execute("import app", [source, *path], self._variables[logical_id] | given)

    def lab(self) -> Measured:
        """Import the lean lab set."""
        return self.execute(LAB_SET, [str(self.layers["CommonLayer"] / "python")], {})

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
        deployed.engine.dispose()
        functions = Functions(stack)
        trials: dict[str, Trial] = {
            LAB: lambda: functions.lab().imported,
            **{name: partial(_imported, functions, name) for name in functions.names},
        }
        imports = in_turn(trials, arguments.rounds)
        events = _events(functions, stack, bundle.task)
        invocations = {name: partial(_invoked, functions, name, event) for name, event in events.items()}
        first = in_turn(invocations, arguments.rounds)
    imported = {name: {1: seconds} for name, seconds in imports.items()}
    show_values("Import, in a fresh process", "process", imported, LAB)
    invoked = {name: {1: seconds} for name, seconds in first.items()}
    show_values("First invocation, after the import", "process", invoked, SAVER)
    show_machine("SQLAlchemy", "pg8000", "pydantic", "aws-lambda-powertools")
    saver = Limit(
        "import of the saver, as a multiple of the lean lab set's",
        median_ratio(imports[SAVER], imports[LAB]),
        250 / 254,
        reason="It imports its own modules besides the packages of the set.",
    )
    show_limits([saver], room=0.6 if arguments.short else None)


def _imported(functions: Functions, name: str) -> float:
    return functions.run(name).imported


def _invoked(functions: Functions, name: str, event: object) -> float:
    return functions.run(name, event).invoked


def _events(functions: Functions, stack: LocalStack, task: BundleTask) -> dict[str, dict[str, Any]]:
    """An event for the functions that a user or the saving of an item waits for."""
    arn = stack.state_machine_arn.replace(":stateMachine:", ":execution:")
    execution = {"Id": f"{arn}:{task.task_id}-r1"}
    plan_event = {"input": {"task_id": task.task_id}, "execution": execution}
    planned = functions.run("PlanBatchesFunction", plan_event).answer
    batch_event = {"plan": planned["plan"], "batch": planned["batches"][0], "execution_arn": execution["Id"]}
    functions.run("GenerateContentFunction", batch_event)
    api_event = json.loads((REPOSITORY / "events/task_api.json").read_bytes()) | {
        "httpMethod": "GET",
        "path": f"/api/v1/tasks/{task.task_id}",
        "resource": "/api/v1/tasks/{task_id}",
        "pathParameters": {"task_id": task.task_id},
        "queryStringParameters": {"user_id": task.user_id},
        "multiValueQueryStringParameters": {"user_id": [task.user_id]},
    }
    api_event["requestContext"]["authorizer"] = {"principalId": task.user_id, "user_id": task.user_id}
    authorizer_event = json.loads((REPOSITORY / "events/authorize_request.json").read_bytes())
    token = {"authorizationToken": f"Bearer {stack.token(task.user_id)}"}
    return {
        SAVER: batch_event,
        "TaskApiFunction": api_event,
        "AuthorizeRequestFunction": authorizer_event | token,
    }


if __name__ == "__main__":
    main()
