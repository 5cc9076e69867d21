"""Run `sam build` for AWS, and for this machine with its own architecture."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from local_stack.builds import LOCAL, REPOSITORY
from local_stack.stack import ARCHITECTURE
from local_stack.steps import step
from local_stack.template_file import Template, default_of, of_type, read_template

from .errors import ReleaseError
from .sam_cli import sam

# The machine field of an ELF header: bytes 18 and 19.
_PROCESSORS: Mapping[str, bytes] = {"x86_64": b"\x3e\x00", "arm64": b"\xb7\x00"}
_PYTHON = "cpython-313"


class Built(NamedTuple):
    """The result of `sam build`: its template, and a folder for each function and layer."""

    template: Path
    functions: int
    layers: int


def build_for_aws(architecture: str = "") -> Built:
    """Build for a deployment: for `architecture`, or for the template's default."""
    template = read_template(REPOSITORY / "template.yaml")
    return _build(REPOSITORY / ".aws-sam", architecture or default_of(template, "Architecture"))


def build_for_this_machine() -> Built:
    """Build for the architecture of this machine, in addition to the build for AWS."""
    return _build(LOCAL / "sam", ARCHITECTURE)


def _build(directory: Path, architecture: str) -> Built:
    """Build every function and layer and check the result.

    Raises:
        CommandFailedError: the build failed.
        ReleaseError: a part is missing or not for `architecture`.
    """
    with step(f"sam build, every function and layer for {architecture}"):
        sam(
            *("build", "--build-dir", directory / "build", "--cache-dir", directory / "cache"),
            *("--parameter-overrides", f"Architecture={architecture}"),
            environment={"ARCHITECTURE": architecture},  # for the layers' Makefile: SAM does not pass it
        )
    template = read_template(directory / "build/template.yaml")
    functions = _folders(directory / "build", template, "AWS::Serverless::Function", "CodeUri")
    layers = _folders(directory / "build", template, "AWS::Serverless::LayerVersion", "ContentUri")
    missing = [
        *(folder.name for folder in functions if not (folder / "app.py").is_file()),
        *(folder.name for folder in layers if not any(folder.glob("python/*"))),
    ]
    if missing:
        raise ReleaseError(f"sam build left {', '.join(missing)} without code")
    if foreign := [path for folder in layers for path in foreign_libraries(folder, architecture)]:
        raise ReleaseError(f"{foreign[0]}: not for {_PYTHON} on {architecture}")
    return Built(directory / "build/template.yaml", len(functions), len(layers))


def _folders(base: Path, template: Template, kind: str, property_name: str) -> list[Path]:
    return [base / each[property_name] for each in of_type(template, kind).values()]


def foreign_libraries(folder: Path, architecture: str) -> Iterable[Path]:
    """The compiled modules below a folder that the functions' Python cannot load on `architecture`."""
    for path in sorted(folder.rglob("*.so")):
        with path.open("rb") as library:
            header = library.read(20)
        for_another_python = ".cpython-" in path.name and _PYTHON not in path.name
        if for_another_python or header[18:] != _PROCESSORS[architecture]:
            yield path
