"""The target of the `roadmap` command: the local stack, or a stack on AWS."""

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine, make_url

from local_stack.errors import FunctionFailedError, NoStackError, RefusedError
from local_stack.stack_functions import functions_of
from roadmap_command.local import local_stack
from roadmap_command.terminal import waiting_is_said
from roadmap_content.client.client import Client
from roadmap_content.contracts.errors import MissingSettingError
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.storage.bucket import Bucket

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from local_stack.stack import LocalStack

ALIAS = "live"
"""The alias of the functions and of the state machine."""

RESEND_SECONDS = 20.0
"""For how long a request is sent again. All callers of the API share its limit of requests, and in an outage
there are many.
"""

OPERATOR = "operator"
"""The user of the tokens that the local stack signs for operators."""


@dataclass
class Target:
    """A deployed stack and its database."""

    engine: Engine
    bucket: Bucket
    s3: "S3Client"
    stepfunctions: "SFNClient"
    state_machine_arn: str
    """The ARN with its alias. A run keeps the version with which it was started."""

    api_url: str
    token: Callable[[str], str]
    """Returns a token for the API for a given user."""

    operator_token: Callable[[], str]
    """A token for the API that has the operator's scope."""

    invoke: Callable[[str, dict[str, Any]], dict[str, Any]]
    """Invokes a function by its logical id with an event."""

    logs: Any
    """A client of CloudWatch Logs."""

    log_group: str
    """The log group of the functions."""

    model_failures: str = ""
    """How the offline model of a local stack fails on request; empty if it works."""

    def client(self, user_id: str | None = None, resend_seconds: float = RESEND_SECONDS) -> Client:
        """A client for a user, or for an operator. It sends requests without an answer again for a time."""
        return Client(
            api_url=self.api_url,
            token=(lambda _: self.operator_token()) if user_id is None else self.token,
            user_id=user_id or OPERATOR,
            resend_seconds=resend_seconds,
            waiting=waiting_is_said,
        )

    @classmethod
    def named(cls, stack: str | None) -> Self:
        """The stack `stack` on AWS, or the running local one.

        Raises:
            NoStackError: it does not exist or is not running.
        """
        return cls.local(local_stack().attach()) if stack is None else cls.on_aws(stack)

    @classmethod
    def local(cls, stack: "LocalStack") -> Self:
        """A local stack."""
        credentials = Credentials.from_url(make_url(stack.database_url))
        return cls(
            engine=open_engine(lambda: credentials, tls=False),
            bucket=Bucket(stack.bucket, stack.client("s3")),
            s3=stack.client("s3"),
            stepfunctions=stack.client("stepfunctions"),
            state_machine_arn=f"{stack.state_machine_arn}:{ALIAS}",
            api_url=stack.api_url,
            token=stack.token,
            operator_token=partial(stack.token, OPERATOR, "content:operate"),
            invoke=partial(invoke_function, stack.client("lambda"), stack.functions),
            logs=stack.client("logs"),
            log_group=stack.log_group,
            model_failures=stack.model_failures,
        )

    @classmethod
    def on_aws(cls, name: str) -> Self:
        """A stack on AWS, with the environment's credentials.

        Only `load` writes to its database, as the product does; it uses the URL in `ROADMAP_DATABASE_URL`.
        """
        import boto3
        from botocore.exceptions import ClientError

        try:
            (stack,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise NoStackError(f"{name}: {error.response['Error']['Message']}") from error
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        functions = functions_of(boto3.client("cloudformation"), name)
        return cls(
            engine=open_engine(_credentials_of_the_environment, tls=True),
            bucket=Bucket(outputs["ContentBucket"]),
            s3=boto3.client("s3"),
            stepfunctions=boto3.client("stepfunctions"),
            state_machine_arn=f"{outputs['StateMachineArn']}:{ALIAS}",
            api_url=outputs["ApiUrl"],
            token=token_of_the_environment,
            operator_token=partial(token_of_the_environment, OPERATOR),
            invoke=partial(invoke_function, patient_lambda_client(), functions),
            logs=boto3.client("logs"),
            log_group=f"/aws/lambda/{name}",
        )


def patient_lambda_client() -> "LambdaClient":
    """A client that waits as long as a function may run, and never invokes it twice."""
    import boto3
    from botocore.config import Config

    return boto3.client("lambda", config=Config(read_timeout=910, retries={"total_max_attempts": 1}))


def _credentials_of_the_environment() -> Credentials:
    url = os.environ.get("ROADMAP_DATABASE_URL")
    if not url:
        raise MissingSettingError(
            "ROADMAP_DATABASE_URL is not set: the database's URL, for a role that may insert roadmaps"
        )
    return Credentials.from_url(make_url(url))


def token_of_the_environment(_user_id: str) -> str:
    token = os.environ.get("ROADMAP_TOKEN")
    if not token:
        raise MissingSettingError(
            "ROADMAP_TOKEN is not set: a token for the API, of the task's user or of an operator"
        )
    if (expires := _expiry_of(token)) is not None and expires <= datetime.now(UTC):
        raise MissingSettingError(
            f"the token in ROADMAP_TOKEN has expired at {expires.isoformat()}: set a new one"
        )
    return token


def _expiry_of(token: str) -> datetime | None:
    """The `exp` of a JWT; `None` for another token. The API alone verifies it."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None


def invoke_function(
    client: "LambdaClient", functions: Mapping[str, str], logical_id: str, event: dict[str, Any]
) -> dict[str, Any]:
    if logical_id not in functions:
        raise RefusedError(f"the stack has no {logical_id}: it was deployed without it (template.yaml)")
    answer = client.invoke(FunctionName=functions[logical_id], Qualifier="live", Payload=json.dumps(event))
    result: dict[str, Any] = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise FunctionFailedError(f"{logical_id}: {result.get('errorType')}: {result.get('errorMessage')}")
    return result
