"""The local stack, configured so that a fault affects only one step.

Each step has its own database role and its own proxies to the database and S3. A deployment
could be configured in the same way: a secret, endpoints and a timeout per function. The state machine is the
one that is shipped, with every retrier as it is. Only times are shorter: functions have seconds, sessions
tenths of seconds, and the waits of the state machine before a retry takes a thousandth of the time.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from local_stack.cloud import REGION
from local_stack.processes import becomes_true
from local_stack.stack import LocalStack, database_secret
from roadmap_command.target import Target
from tests.faults.matrix.database_proxy import DatabaseProxy
from tests.faults.matrix.steps import Step
from tests.support.http_proxy import HttpProxy
from tests.support.product_schema import CONCEPT_METADATA
from tests.support.published_machine import PublishedMachine
from tests.support.stacks import temporary_stack

LIMITS = {"lock_timeout": "400ms", "statement_timeout": "800ms"}

FUNCTIONS = {
    Step.PLAN: ("PlanBatchesFunction", 4),
    Step.GENERATE: ("GenerateContentFunction", 8),
    Step.SAVE: ("SaveBatchFunction", 4),
    Step.FINALIZE: ("FinalizeTaskFunction", 4),
    Step.AWAIT_REDRIVE: ("AwaitRedriveFunction", 4),
    Step.RETRY: ("TaskApiFunction", 8),  # boto3's own retries wait up to 3 s when throttled
    Step.RECONCILE: ("ReconcileTaskFunction", 8),
}
"""The function of each step and its timeout in seconds. A transaction is given up 3 s before it ends, and
Generate and Reconcile start no new work in the last 6 s.
"""

WAIT_SCALE = 0.001
"""The local engine waits at most 60 s before a retry, without jitter: scaled, all waits of a cell together
are shorter than one invocation.
"""

QUIET = text("""
SELECT count(*) FROM pg_stat_activity
WHERE starts_with(usename, 'step_') AND state IS DISTINCT FROM 'idle' AND datname = current_database()
""")


class Line:
    """The proxies of one step."""

    def __init__(self, step: Step, stack: LocalStack, server_port: int, resources: ExitStack) -> None:
        logical_id, self.timeout = FUNCTIONS[step]
        self.function = stack.functions[logical_id]
        self.role = f"step_{logical_id.removesuffix('Function').lower()}"
        self.database = resources.enter_context(DatabaseProxy(server_port, LIMITS))
        self.s3 = resources.enter_context(HttpProxy(stack.endpoint_url))


class Rig:
    """A running stack and the proxies of its steps."""

    def __init__(self, stack: LocalStack, resources: ExitStack) -> None:
        self.stack = stack
        self.target = Target.local(stack)
        resources.callback(self.target.engine.dispose)
        port = make_url(stack.database_url).port
        assert port is not None
        with self.administering() as connection:  # so that every cell also has the product's projection
            connection.exec_driver_sql(CONCEPT_METADATA)
        self.lines = {step: Line(step, stack, port, resources) for step in FUNCTIONS}
        for step in FUNCTIONS:
            self._wire(self.lines[step])
        self._tell_ends(told=False)

    @classmethod
    @contextmanager
    def start(cls) -> "Iterator[Rig]":
        with temporary_stack(wait_scale=WAIT_SCALE) as stack, ExitStack() as resources:
            yield cls(stack, resources)

    def _wire(self, line: Line) -> None:
        with self.administering() as connection:
            connection.execute(text(f"CREATE ROLE {line.role} LOGIN PASSWORD 'secret'"))
            connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {line.role}"))
            connection.execute(text(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {line.role}"))
        secret = database_secret(self.stack.database_url)
        secret |= {"port": line.database.port, "username": line.role, "password": "secret"}
        secrets = self.stack.client("secretsmanager")
        arn = secrets.create_secret(Name=line.role, SecretString=json.dumps(secret))["ARN"]
        changes = {"DATABASE_SECRET_ARN": arn, "AWS_ENDPOINT_URL_S3": line.s3.url}
        configuration = self.functions.get_function_configuration(FunctionName=line.function)
        environment = {"Variables": configuration["Environment"]["Variables"] | changes}
        PublishedMachine(self.stepfunctions, self.stack.state_machine_arn).change_function(
            self.functions, line.function, Timeout=line.timeout, Environment=environment
        )

    @cached_property
    def functions(self) -> Any:
        return boto3.client(
            "lambda",
            endpoint_url=self.stack.endpoint_url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    @cached_property
    def stepfunctions(self) -> Any:
        return self.stack.client("stepfunctions")

    @cached_property
    def s3(self) -> Any:
        """An S3 client that no fault affects."""
        return self.stack.client("s3")

    @contextmanager
    def events(self) -> Iterator[None]:
        """Let the end of an execution invoke Reconcile for the duration of the block.

        Otherwise a cell invokes Reconcile itself, so that it controls when the end is recorded.
        """
        self._tell_ends(told=True)
        try:
            yield
        finally:
            self._tell_ends(told=False)

    def _tell_ends(self, *, told: bool) -> None:
        events = self.stack.client("events")
        for rule in events.list_rules()["Rules"]:
            if "EventPattern" in rule:
                (events.enable_rule if told else events.disable_rule)(Name=rule["Name"])

    @contextmanager
    def administering(self) -> Iterator[Connection]:
        """A session of the database owner in autocommit mode."""
        engine = create_engine(self.stack.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            yield connection

    def await_quiet(self) -> None:
        """Wait until no step is active in the database."""
        calm = 0
        with self.administering() as connection:

            def is_quiet() -> bool:
                nonlocal calm
                calm = 0 if connection.scalar(QUIET) else calm + 1
                return calm >= 5  # a step is idle between two transactions, but only for a short time

            assert becomes_true(is_quiet, 600), "a step does not end"
