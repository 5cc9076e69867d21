"""The local cloud: ministack, in an environment of its own, on a port of its own of 127.0.0.1.

It holds everything in memory and runs the functions as child processes; they find it through
`AWS_ENDPOINT_URL`, and see nothing of the environment that started it.
"""

import os
import urllib.error
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
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
_DEADLINE_SECONDS = 600.0
"""No load is so high that a cloud starts so slowly: only a hang reaches it."""


class CloudError(LocalServiceError):
    """The local cloud did not do as it was told; the message holds the end of its log."""

    code = "Cloud"


class CloudExitedError(CloudError):
    """The local cloud ended instead of starting."""

    code = "CloudExited"


@dataclass
class Cloud:
    """A local cloud; `directory` holds its log and its temporary files."""

    directory: Path
    wait_scale: float = 1.0
    """What the state machine's waits between retries are multiplied by."""

    detached: bool = False
    keep: bool = False
    """Whether S3's objects are kept on disk, for a next cloud in `directory`."""

    python: Path | None = None
    """What it and functions of the runtimes `python3.x` run on; without it, the Python that runs this."""

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
        """Start a cloud, and wait until it answers. Not detached, it ends with the thread that started it.

        Raises:
            CloudError: it does not start.
        """
        cloud = cls(directory.resolve(), wait_scale, detached, keep, python)
        for attempts_left in reversed(range(5)):
            cloud._launch()
            try:
                cloud._await_answer()
            except CloudExitedError:
                # Most likely somebody took the port since; whatever the reason, another try costs little.
                if not attempts_left:
                    raise
            else:
                break
        return cloud

    @classmethod
    def find(cls, directory: Path) -> Self | None:
        """The cloud that is running in `directory`, whoever started it."""
        cloud = cls(directory.resolve(), detached=True)
        for pid_file in cloud._temporary.glob("ministack-*.pid"):
            cloud.port = int(pid_file.stem.removeprefix("ministack-"))
            try:
                cloud.process = psutil.Process(int(pid_file.read_text()))
            except psutil.NoSuchProcess:
                continue
            if listens_on(cloud.process, cloud.port):  # else its process id is another's by now
                return cloud
        return None

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment for boto3 to reach this cloud."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION, **_CREDENTIALS}

    @property
    def log(self) -> Path:
        """What the cloud says; what the functions say is in its CloudWatch Logs."""
        return self.directory / "cloud.log"

    def client(self, service: str) -> Any:  # noqa: ANN401 - each service has a class of its own
        """A boto3 client of this cloud."""
        client: Callable[..., Any] = self._session.client  # typed for literal names of services alone
        return client(service, endpoint_url=self.url)

    def stop(self) -> None:
        """Kill the cloud and the functions that it runs, and wait until they are gone; again: no harm."""
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
            "BIND_HOST": HOST,  # its default is every interface of the machine
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
        """A folder that holds this package and no other: installed, its neighbours would hide ministack's."""
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
            self.stop()
            raise CloudError(f"no answer within {_DEADLINE_SECONDS:.0f} s; {self._last_words()}")
        if has_ended(self.process):
            raise CloudExitedError(self._last_words())

    def _answers(self) -> bool:
        # Whoever took the port before us would answer, too.
        if not listens_on(self.process, self.port):
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False

    def _last_words(self) -> str:
        return f"the end of {self.log}:\n" + "\n".join(self.log.read_text().splitlines()[-10:])
