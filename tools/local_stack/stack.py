"""The whole local stack: PostgreSQL, the local cloud, and the template, which migrates when it is
deployed.
"""

import json
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock
from sqlalchemy import make_url

from roadmap_content.contracts.errors import PermanentError
from roadmap_content.platform.authorization.settings import NO_ISSUER

from .builds import LAST_STACK, LOCAL, REPOSITORY
from .cloud import Cloud
from .database_roles import DatabaseRoles, create_roles
from .deploy import PythonRuntime, create_own_generator, create_stack, package, upload_template
from .environments import environment_python, is_created
from .errors import LocalServiceError, NoStackError, RefusedError, StackEndedError
from .failing_model import parse
from .given_database import (
    AdoptedDatabase,
    GivenDatabase,
    drop_kept_databases,
    given_or_embedded,
    given_server,
    kept_database,
)
from .layers import build_layers
from .own_generator import write_environment
from .postgres_server import PostgresServer, Server
from .stack_functions import functions_of
from .template_file import read_template
from .tokens import sign_token

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NAME = "roadmap"
_ARTIFACTS = "artifacts"
_PACKAGES, _DATABASE = 400 << 20, 100 << 20
"""Bytes of the environments with their packages, and of the layers and a small database."""

_CONTENT_BUCKET = f"{_NAME}-contentbucket-"

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
"""The architecture of this machine, as Lambda names it."""


_ISSUER = "https://local.example"
_AUDIENCE = "roadmap-content"

OPERATOR_SCOPE, VIEWER_SCOPE = "content:operate", "content:view"
"""The template's defaults for OperatorScope and ViewerScope."""


class StackRunningError(PermanentError, code="StackRunning"):
    """A local stack is already running; stop it with `roadmap down`."""


@dataclass
class LocalStack:
    """A running stack. `directory` contains its data."""

    directory: Path
    database: Server
    cloud: Cloud
    outputs: Mapping[str, str]
    functions: Mapping[str, str]
    """The names of the Lambda functions, by logical id."""

    token_secret: str = field(repr=False)
    """The secret that signs tokens for the API."""

    @classmethod
    def start(
        cls,
        directory: Path = LOCAL,
        *,
        parameters: Mapping[str, str] | None = None,
        detached: bool = False,
        keep: bool = False,
        wait_scale: float = 1.0,
        fsync: bool = True,
        adopted: AdoptedDatabase | None = None,
        token_secret: str = "",
        generator: Path | None = None,
    ) -> Self:
        """Start a stack; `parameters` are template parameters, in addition to those that a local stack needs.

        Without `keep`, it is empty. With `keep`, it has the database and the content that were last kept in
        `directory`, also the `parameters`, and keeps its own there. Executions are not kept.

        If it is detached, it keeps running when this process ends, and other processes may `attach`.
        Otherwise it stops with the thread that started it. `wait_scale` and `fsync` are those of `Cloud` and
        `PostgresServer`. With `adopted`, the stack uses that database directly, and its deployment migrates
        it. `token_secret` signs the tokens of its API, by default a new one. `generator` is a file with a
        function `generate(event)`, in place of the offline generator.

        Raises:
            StackRunningError: a detached stack is running in `directory`.
            NotPermittedError: the user of the database to adopt may not create the roles; nothing was built.
            LocalServiceError: a part could not be built, for instance because the disk is full.
            ServerError, CloudError, StackFailedError: a part did not start; the others are stopped again.
        """
        directory = directory.resolve()
        has_packages = is_created("runtime") and is_created("cloud")
        needed = _DATABASE if has_packages else _DATABASE + _PACKAGES
        for place in (directory, LOCAL):
            place.mkdir(parents=True, exist_ok=True)
            if (free := shutil.disk_usage(place).free) < needed:
                raise LocalServiceError(f"{free >> 20} MB are free in {place}; a stack needs {needed >> 20}")
        with FileLock(directory / "stack.lock"):
            if _is_running(directory):
                raise StackRunningError(
                    f"a local stack is running in {directory}; stop it with: roadmap down"
                )
            cls.down(directory, forget=not keep)
            kept = _kept_bucket(directory) if keep else None
            roles = adopted and adopted.create_roles()
            with ExitStack() as undo, ThreadPoolExecutor() as pool:
                interpreter = pool.submit(environment_python, "runtime")
                layers = pool.submit(build_layers)
                pool.submit(environment_python, "cloud")
                # In this thread, because a server that is not detached stops with the thread that starts it.
                database: Server = undo.enter_context(
                    adopted or _start_database(directory, detached=detached, keep=keep, fsync=fsync)
                )
                runtime = PythonRuntime(interpreter.result(), layers.result(), _failures(directory))
                cloud = undo.enter_context(
                    Cloud.start(directory / "cloud", wait_scale=wait_scale, detached=detached, keep=keep)
                )
                token_secret = token_secret or secrets.token_urlsafe(32)
                roles = roles or create_roles(database.url, f"{make_url(database.url).database}_")
                given = dict(parameters or {})
                if keep and adopted is None:
                    given = _read_parameters(directory) | given
                chosen = json.dumps(given)
                if kept is not None:
                    # As on AWS, where a new stack takes over the bucket of another one.
                    _require_bucket(cloud.client("s3"), kept)
                    given = {"ContentBucketName": kept} | given
                if generator is not None:
                    environment = _generator_environment(directory)
                    write_environment(environment)
                    arn = create_own_generator(cloud.client("lambda"), generator, environment)
                    given |= {"Generator": "function", "GeneratorFunctionArn": arn}
                outputs = _deploy(cloud, runtime, roles, token_secret, given)
                functions = functions_of(cloud.client("cloudformation"), _NAME)
                stack = cls(directory, database, cloud, outputs, functions, token_secret)
                if keep and adopted is None:
                    _parameters_file(directory).write_text(chosen)
                if detached:
                    stack.record()
                undo.pop_all()
        return stack

    @classmethod
    def up(
        cls,
        directory: Path = LOCAL,
        *,
        fresh: bool = False,
        adopted: AdoptedDatabase | None = None,
        parameters: Mapping[str, str] | None = None,
        token_secret: str = "",
        generator: Path | None = None,
    ) -> Self:
        """Start a detached stack with the data of the last one or, with `fresh`, without: see `start`."""
        if fresh:
            cls.forget(directory)
        return cls.start(
            directory,
            parameters=parameters,
            detached=True,
            keep=True,
            adopted=adopted,
            token_secret=token_secret,
            generator=generator,
        )

    @classmethod
    def fail(cls, failures: str, directory: Path = LOCAL) -> str:
        """Let the offline model fail (`refuse 10 %`), from now on; an empty text ends it. Returns the text
        until now.

        Raises RefusedError: the text does not name failures.
        """
        try:
            parse(failures)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        directory.mkdir(parents=True, exist_ok=True)
        former = _read_failures(directory)
        _failures(directory).write_text(failures)
        return former

    @classmethod
    def forget(cls, directory: Path = LOCAL) -> None:
        """Remove the data of the last stack in `directory`. The data of a running stack is not changed."""
        if not _is_running(directory.resolve()):
            cls.down(directory, forget=True)

    @classmethod
    def has_data(cls, directory: Path = LOCAL) -> bool:
        """Whether `directory` contains a kept database."""
        return (directory / "postgres/cluster").exists() or _kept_databases(directory).exists()

    @classmethod
    def attach(cls, directory: Path = LOCAL) -> Self:
        """The detached stack that is running in `directory`.

        Raises:
            NoStackError: there is none.
            StackEndedError: a part of it has ended.
            CloudStalledError: its cloud does not respond.
        """
        directory = directory.resolve()
        record = _read_record(directory)
        if record is None:
            raise NoStackError(
                f"no local stack is running in {directory}{_other_stack()}; start one with: roadmap up"
            )
        if not record:
            raise StackEndedError(
                f"{_record_file(directory)} cannot be read; start the stack again with its data: roadmap up"
            )
        database, cloud = _find_database(directory, record), Cloud.find(directory / "cloud")
        for part, found in (("PostgreSQL", database), ("the local cloud", cloud)):
            if found is None:
                raise StackEndedError(
                    f"{part} of the local stack has ended; start the stack again with its data: roadmap up"
                )
        assert database is not None and cloud is not None  # noqa: S101, PT018 - for the type checker
        cloud.require_response()
        return cls(directory, database, cloud, record["outputs"], record["functions"], record["token_secret"])

    @classmethod
    def down(cls, directory: Path = LOCAL, *, forget: bool = False) -> bool:
        """Stop all running parts of a detached stack; return whether any ran. `forget` removes its data.

        An adopted database is never removed.
        """
        directory = directory.resolve()
        record = _read_record(directory)
        parts = [Cloud.find(directory / "cloud"), _find_database(directory, record or {})]
        running = [part for part in parts if part is not None]
        for part in running:
            part.stop()
        if forget:
            _remove_data(directory)
        else:
            _remove_temporary(directory, record or {})
        return bool(running)

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database.url

    @property
    def bucket(self) -> str:
        """The name of the content bucket."""
        return self.outputs["ContentBucket"]

    @property
    def state_machine_arn(self) -> str:
        """The ARN of the state machine."""
        return self.outputs["StateMachineArn"]

    @property
    def architecture(self) -> str:
        """The architecture of this machine: that of the functions."""
        return ARCHITECTURE

    @property
    def log_group(self) -> str:
        """The log group of the functions."""
        return f"/aws/lambda/{_NAME}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables with which boto3 reaches this stack."""
        return self.cloud.environment

    @property
    def endpoint_url(self) -> str:
        """The endpoint of all services of the cloud."""
        return self.cloud.url

    @property
    def api_url(self) -> str:
        """The base URL of the API: the output `ApiUrl`, translated for this cloud."""
        found = re.fullmatch(
            r"https://(?P<api>[^.]+)\.execute-api\.[^/]+/(?P<stage>.+)", self.outputs["ApiUrl"]
        )
        if found is None:
            raise ValueError(f"not the URL of a REST API: {self.outputs['ApiUrl']}")
        return f"{self.cloud.url}/_aws/execute-api/{found['api']}/{found['stage']}"

    def variables(self) -> dict[str, dict[str, str]]:
        """The environment variables of the deployed functions, by logical id."""
        client = self.client("lambda")
        return {
            logical_id: client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            for logical_id, name in self.functions.items()
        }

    def parameters(self) -> dict[str, str]:
        """The template parameters that the stack was deployed with."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=_NAME)["Stacks"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}

    def kept_parameters(self) -> Mapping[str, str]:
        """The template parameters that the next `up` uses again."""
        return _read_parameters(self.directory)

    @property
    def model_failures(self) -> str:
        """How the offline model fails on request; empty if it works."""
        return _read_failures(self.directory)

    def token(self, user_id: str, scope: str = "") -> str:
        """A token for `user_id` with the scopes in `scope`, separated by spaces.

        It has the issuer and the audience that the stack was deployed with.
        """
        given = self.parameters()
        issuer = given["JwtIssuer"]
        return sign_token(
            self.token_secret,
            user_id=user_id,
            issuer=None if issuer == NO_ISSUER else issuer,
            audience=given["JwtAudience"].split(",")[0].strip(),
            scope=scope,
        )

    def console_link(self) -> str:
        """A link that opens the console signed in as an operator.

        The token is in the fragment, which the browser does not send.
        """
        return f"{self.api_url}/console/#token={self.token('operator', OPERATOR_SCOPE)}"

    def client(self, service: str) -> Any:  # noqa: ANN401 - each service has its own class
        """A boto3 client of this stack's cloud."""
        return self.cloud.client(service)

    def stop(self) -> None:
        """Stop all parts and remove the data. Can be repeated."""
        self.cloud.stop()
        self.database.stop()
        _remove_data(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def record(self) -> None:
        """Let other processes `attach` to this stack, and name it where there is none."""
        given = asdict(self.database) if isinstance(self.database, GivenDatabase) else None
        adopted = self.database.url if isinstance(self.database, AdoptedDatabase) else None
        record = {
            "given_database": given,
            "adopted_database": adopted,
            "outputs": self.outputs,
            "functions": self.functions,
            "token_secret": self.token_secret,
            "command": str(Path(sys.prefix) / "bin/roadmap"),
        }
        unfinished = self.directory / "stack.json.unfinished"
        unfinished.touch(mode=0o600)  # it contains secrets
        unfinished.write_text(json.dumps(record, indent=2))
        unfinished.rename(_record_file(self.directory))
        if self.directory == LOCAL.resolve():
            LAST_STACK.parent.mkdir(parents=True, exist_ok=True)
            LAST_STACK.write_text(str(self.directory))


def _start_database(directory: Path, *, detached: bool, keep: bool, fsync: bool) -> Server:
    if server_url := given_server():
        if keep:
            return kept_database(_kept_databases(directory), server_url)
        return given_or_embedded(directory / "postgres")
    return PostgresServer.start(directory / "postgres", detached=detached, fsync=fsync)


def _deploy(
    cloud: Cloud,
    runtime: PythonRuntime,
    roles: DatabaseRoles,
    token_secret: str,
    parameters: Mapping[str, str],
) -> dict[str, str]:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=_ARTIFACTS)
    packaged = package(read_template(REPOSITORY / "template.yaml"), REPOSITORY, runtime, s3, _ARTIFACTS)
    url = upload_template(packaged, s3, _ARTIFACTS)
    needed = local_parameters(cloud, roles, token_secret)
    return create_stack(cloud.client("cloudformation"), _NAME, url, needed | dict(parameters))


def local_parameters(cloud: Cloud, roles: DatabaseRoles, token_secret: str) -> dict[str, str]:
    """The template parameters of a local stack. Its secrets are stored in the cloud."""
    secrets_manager = cloud.client("secretsmanager")

    def store(name: str, value: str) -> str:
        arn: str = secrets_manager.create_secret(Name=f"{_NAME}/{name}", SecretString=value)["ARN"]
        return arn

    return {
        **{
            f"Database{kind.title()}SecretArn": store(f"database-{kind}", json.dumps(database_secret(url)))
            for kind, url in roles._asdict().items()
        },
        "DatabaseRolePrefix": roles.names.writer.removesuffix("writer"),
        "Generator": "offline",
        "RunConcurrency": "0",  # one machine is slower than AWS, and a throttled start waits for seconds
        "ApiConcurrency": "0",
        "JwtIssuer": _ISSUER,
        "JwtAudience": _AUDIENCE,
        "JwtSecretArn": store("token", token_secret),
        "Architecture": ARCHITECTURE,
        "AwsEndpointUrl": cloud.url,
    }


def database_secret(database_url: str) -> dict[str, object]:
    """A database's credentials, in the format of RDS's secrets."""
    url = make_url(database_url)
    return {
        "engine": "postgres",
        "host": url.host,
        "port": url.port or 5432,
        "dbname": url.database,
        "username": url.username,
        "password": url.password,
    }


def _is_running(directory: Path) -> bool:
    try:
        LocalStack.attach(directory)
    except NoStackError:
        return False
    return True


def _find_database(directory: Path, record: Mapping[str, Any]) -> Server | None:
    if given := record.get("given_database"):
        return GivenDatabase(**given)
    if adopted := record.get("adopted_database"):
        return AdoptedDatabase(adopted)
    return PostgresServer.find(directory / "postgres")


def _kept_databases(directory: Path) -> Path:
    return directory / "databases.json"


def _failures(directory: Path) -> Path:
    return directory / "model-failures"


def _read_failures(directory: Path) -> str:
    file = _failures(directory)
    return file.read_text() if file.exists() else ""


def _generator_environment(directory: Path) -> Path:
    return directory / "generator-environment.json"


def _parameters_file(directory: Path) -> Path:
    return directory / "parameters.json"


def _read_parameters(directory: Path) -> dict[str, str]:
    """The kept parameters, without those that the template does not have any more."""
    known = read_template(REPOSITORY / "template.yaml")["Parameters"]
    kept = _read_object(_parameters_file(directory)) or {}
    return {name: value for name, value in kept.items() if name in known}


def _record_file(directory: Path) -> Path:
    return directory / "stack.json"


def _read_record(directory: Path) -> dict[str, Any] | None:
    return _read_object(_record_file(directory))


def _read_object(file: Path) -> dict[str, Any] | None:
    """The object in a file: `None` without the file, empty if it is damaged, as after a full disk."""
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _other_stack() -> str:
    """The last stack of another checkout or of an installed package, unless it was stopped."""
    try:
        other = Path(LAST_STACK.read_text())
    except FileNotFoundError:
        return ""
    record = _read_record(other)
    if record is None:
        return ""
    # Another version may have written the record.
    return f" (the one in {other} is used by {record.get('command', 'its own command')})"


def _kept_bucket(directory: Path) -> str | None:
    """The name of the kept bucket with the content of the last stack. Its objects stay where they are.

    A stack with an interrupted start may have left another bucket, with less.
    """
    buckets = list((directory / "cloud/objects").glob(f"*/{_CONTENT_BUCKET}*"))
    if not buckets:
        return None
    return max(buckets, key=lambda bucket: (sum(1 for _ in bucket.rglob("*")), bucket.name)).name


def _require_bucket(s3: "S3Client", name: str) -> None:
    """Create a bucket, unless it exists: the cloud forgets one without objects."""
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name)


def _remove_data(directory: Path) -> None:
    """Remove the data of a stack except for the cloud's log, which explains a failed start."""
    _remove_temporary(directory, {})
    drop_kept_databases(_kept_databases(directory))
    _parameters_file(directory).unlink(missing_ok=True)
    for data in (directory / "postgres", directory / "cloud/objects"):
        shutil.rmtree(data, ignore_errors=True)


def _remove_temporary(directory: Path, record: Mapping[str, Any]) -> None:
    """Remove the record of a stack, its temporary files, and buckets of stacks before it."""
    _record_file(directory).unlink(missing_ok=True)
    _generator_environment(directory).unlink(missing_ok=True)
    objects = directory / "cloud/objects"
    buckets = objects.glob(f"*/{_CONTENT_BUCKET}*") if record else ()
    kept = record.get("outputs", {}).get("ContentBucket")
    others = [path for path in buckets if path.name != kept]
    for data in (directory / "cloud/tmp", *objects.glob(f"*/{_ARTIFACTS}"), *others):
        shutil.rmtree(data, ignore_errors=True)
