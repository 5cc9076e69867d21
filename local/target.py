"""What the `roadmap` command works on: the local stack, or a stack on AWS by its name."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sqlalchemy import Engine, make_url

from local.errors import NoStackError
from local.stack import LocalStack
from roadmap_content.bucket import Bucket
from roadmap_content.engine import Credentials, open_engine

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@dataclass
class Target:
    """A deployed stack and its database."""

    engine: Engine
    bucket: Bucket
    stepfunctions: "SFNClient"
    state_machine_arn: str

    @classmethod
    def named(cls, stack: str | None) -> Self:
        """The stack `stack` on AWS, or the local one that is up.

        Raises:
            NoStackError: it is not there.
        """
        return cls.local(LocalStack.attach()) if stack is None else cls.on_aws(stack)

    @classmethod
    def local(cls, stack: LocalStack) -> Self:
        """A local stack."""
        credentials = Credentials.from_url(make_url(stack.database_url))
        return cls(
            engine=open_engine(lambda: credentials, tls=False),
            bucket=Bucket(stack.bucket, stack.client("s3")),
            stepfunctions=stack.client("stepfunctions"),
            state_machine_arn=stack.state_machine_arn,
        )

    @classmethod
    def on_aws(cls, name: str) -> Self:
        """A stack on AWS, with the environment's credentials. Its database must be reachable from here."""
        import boto3
        from botocore.exceptions import ClientError

        try:
            (stack,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            raise NoStackError(f"{name}: {error.response['Error']['Message']}") from error
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
        secrets = boto3.client("secretsmanager")

        def credentials() -> Credentials:
            secret = secrets.get_secret_value(SecretId=parameters["DatabaseSecretArn"])
            return Credentials.from_secret(secret["SecretString"])

        return cls(
            engine=open_engine(credentials, tls=parameters["DatabaseTls"] == "verify"),
            bucket=Bucket(outputs["ContentBucket"]),
            stepfunctions=boto3.client("stepfunctions"),
            state_machine_arn=outputs["StateMachineArn"],
        )
