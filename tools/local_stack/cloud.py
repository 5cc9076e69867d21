"""The local cloud: ministack in a separate environment, on a port of 127.0.0.1.

It keeps everything in memory and runs the functions as child processes. They reach it through
`AWS_ENDPOINT_URL` and do not inherit the environment of the process that started it.
"""

import os
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from .environments import environment_python
from .errors import LocalServiceError
from .processes import HOST, becomes_true, free_port, has_ended, kill_group, listens_on, spawn

if TYPE_CHECKING:
    import boto3

REGION = "us-east-1"
DEFAULT_EVENT_BUS_ARN = f"arn:aws:events:{REGION}:000000000000:event-bus/default"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
_DEADLINE_SECONDS = 600.0
"""Longer than a start takes under any load, so only a hang reaches it."""

RESPONSE_SECONDS = 20.0
"""The time in which a running cloud answers a trivial request, also on a busy machine."""


class CloudError(LocalServiceError, code="Cloud"):
    """The local cloud failed. The message contains the end of its log."""


class CloudExitedError(CloudError, code="CloudExited"):
    """The local cloud exited during its start."""


class CloudStalledError(CloudError, code="CloudStalled"):
    """The local cloud is running and does not respond."""


@dataclass
class Cloud:
    """A local cloud. `directory` holds its log and its temporary files."""

    directory: Path
    wait_scale: float = 1.0
    """The factor for the state machine's waits between retries."""

    detached: bool = False
    keep: bool = False
    """Whether S3's objects are kept on disk, for the next cloud in `directory`."""

    python: Path | None = None
    """The interpreter of the cloud and of functions with the runtimes `python3.x`; by default, the current
    one.
    """

    port: int = field(init=False)
    process: psutil.Process = field(init=False, repr=False)

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        wait_scale: float = 1.0,
        detached: bool = False,
        keep: bool = False,
        python: Path | None = None,
    ) -> Self:
        """Start a cloud and wait until it responds. If it is not detached, it stops with the thread that
        started it.

        Raises:
            CloudError: it did not start.
        """
        cloud = cls(directory.resolve(), wait_scale, detached, keep, python)
        for attempts_left in reversed(range(5)):
            cloud._launch()
            try:
                cloud._await_answer()
            except CloudExitedError:
                # Usually another process took the port meanwhile. A retry is cheap.
                if not attempts_left:
                    raise
            except BaseException:  # also Ctrl-C
                cloud.stop()
                raise
            else:
                break
        return cloud

    @classmethod
    def find(cls, directory: Path) -> Self | None:
        """The cloud that is running in `directory`, if any process started one."""
        cloud = cls(directory.resolve(), detached=True)
        for pid_file in cloud._temporary.glob("ministack-*.pid"):
            cloud.port = int(pid_file.stem.removeprefix("ministack-"))
            try:
                cloud.process = psutil.Process(int(pid_file.read_text()))
            except psutil.NoSuchProcess:
                continue
            if listens_on(cloud.process, cloud.port):  # otherwise another process has the process id
                return cloud
        return None

    @property
    def url(self) -> str:
        """The endpoint of all services."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables with which boto3 reaches this cloud."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION, **_CREDENTIALS}

    @property
    def log(self) -> Path:
        """The log file of the cloud. The logs of the functions are in its CloudWatch Logs."""
        return self.directory / "cloud.log"

    def client(self, service: str) -> Any:  # noqa: ANN401 - each service has its own class
        """A boto3 client of this cloud."""
        from botocore.config import Config

        client: Callable[..., Any] = self._session.client  # typed only for literal names of services
        # Some operations, such as TestState, have a separate host on AWS.
        return client(service, endpoint_url=self.url, config=Config(inject_host_prefix=False))

    def require_response(self) -> None:
        """Check that the cloud responds. A process that is suspended, or out of memory, does not.

        Raises:
            CloudStalledError: it did not respond within `RESPONSE_SECONDS`.
        """
        if not self._answers(RESPONSE_SECONDS):
            raise CloudStalledError(
                f"the local cloud (process {self.process.pid}) did not respond within"
                f" {RESPONSE_SECONDS:.0f} s; its log is {self.log}; stop it with: roadmap down"
            )

    def stop(self) -> None:
        """Kill the cloud and its functions and wait until they have ended. Can be repeated."""
        kill_group(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @cached_property
    def _session(self) -> "boto3.Session":
        import boto3

        return boto3.Session(
            aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )

    @property
    def _temporary(self) -> Path:
        return self.directory / "tmp"

    def _launch(self) -> None:
        self.port = free_port()
        self._temporary.mkdir(parents=True, exist_ok=True)
        objects = {"S3_PERSIST": "1", "S3_DATA_DIR": str(self.directory / "objects")} if self.keep else {}
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(self._package_path()),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self._temporary),
            "STATE_DIR": str(self._temporary / "state"),
            "BIND_HOST": HOST,  # the default is all interfaces
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._temporary}/there-is-no-docker",
            "SFN_WAIT_SCALE": str(self.wait_scale),
            **objects,
            **self.environment,
        }
        command = (environment_python("cloud", self.python), "-m", "local_stack.ministack_extensions")
        self.process = spawn(command, environment, self.log, detached=self.detached)

    def _package_path(self) -> Path:
        """A folder with only this package. In the site-packages folder, its neighbours would hide ministack's
        packages.
        """
        folder = self.directory / "path"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / __package__
        link.unlink(missing_ok=True)
        link.symlink_to(Path(__file__).parent, target_is_directory=True)
        return folder

    def _await_answer(self) -> None:
        def answers_or_is_over() -> bool:
            return self._answers() or has_ended(self.process)

        if not becomes_true(answers_or_is_over, _DEADLINE_SECONDS):
            raise CloudError(f"no answer within {_DEADLINE_SECONDS:.0f} s; {self._last_words()}")
        if has_ended(self.process):
            raise CloudExitedError(self._last_words())

    def _answers(self, timeout_seconds: float = 5) -> bool:
        # Another process that took the port would respond, too.
        if not listens_on(self.process, self.port):
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=timeout_seconds) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:  # also `URLError`, and a connection that is lost before the response
            return False

    def _last_words(self) -> str:
        lines = self.log.read_text().splitlines()[-10:] or ["it logged nothing"]
        return "\n".join((f"{lines[-1]} (the log is {self.log})", *lines))
