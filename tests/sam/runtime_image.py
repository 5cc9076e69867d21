"""Build an image of the functions' runtime from Debian and PyPI packages, without an image registry.

It has the same layout as the real one: Python 3.13 at `/var/lang/bin`, the runtime's packages and its
bootstrap at `/var/runtime`, with a layer's packages first on the path. The SAM CLI adds the runtime interface
emulator.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from local_stack.builds import LOCAL, REPOSITORY, build_once, fingerprint
from local_stack.environments import INSTALL
from local_stack.processes import run
from local_stack.stack import ARCHITECTURE
from local_stack.steps import step

TAG = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
"""The image's name, for which the SAM CLI looks."""

_LOCK = REPOSITORY / "requirements/runtime.txt"
_MACHINE = {"x86_64": "x86_64", "arm64": "aarch64"}[ARCHITECTURE]
_SUITE = "trixie"  # Debian 13, whose Python is 3.13

# base-files has the links in the root directory; the SAM CLI needs dash and coreutils to add its emulator.
_PACKAGES = "base-files,ca-certificates,coreutils,dash,libstdc++6,python3.13"

_BOOTSTRAP = """\
#!/bin/sh
export PYTHONPATH=/opt/python:/var/runtime
exec /var/lang/bin/python3.13 -m awslambdaric "$_HANDLER"
"""


def build_runtime_image() -> Path:
    """The image as a tar archive, built once. Needs mmdebstrap and root."""
    directory = LOCAL / "sam/image" / fingerprint(_LOCK, Path(__file__))
    if not directory.exists():
        with step("building the runtime's image from packages"):
            build_once(directory, _build)
    return directory / "image.tar"


def _build(directory: Path) -> None:
    directory.mkdir(parents=True)
    with TemporaryDirectory() as temporary:
        var = Path(temporary) / "var"
        runtime, interpreter = var / "runtime", var / "lang/bin/python3.13"
        run(
            *(sys.executable, "-m", "pip", *INSTALL, "--no-compile", "--only-binary=:all:"),
            *("--implementation", "cp", "--python-version", "3.13"),
            *("--platform", f"manylinux2014_{_MACHINE}", "--platform", f"manylinux_2_28_{_MACHINE}"),
            *("--target", runtime, "--requirement", _LOCK),
        )
        bootstrap = runtime / "bootstrap"
        bootstrap.write_text(_BOOTSTRAP)
        bootstrap.chmod(0o755)
        interpreter.parent.mkdir(parents=True)
        interpreter.symlink_to("/usr/bin/python3.13")
        run(
            *("mmdebstrap", "--variant=extract", f"--include={_PACKAGES}"),
            f"--extract-hook=copy-in {var} /",
            '--extract-hook=chroot "$1" python3.13 -m compileall -q /var/runtime',
            *(_SUITE, directory / "image.tar"),
        )
