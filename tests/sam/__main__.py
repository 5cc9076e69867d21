"""`python -m tests.sam build`, `deploy` or `local`: run a check step by step and print its result."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.markup import escape

from local_stack.environments import environment_python
from local_stack.layers import build_layers
from local_stack.steps import console, step
from release.errors import ReleaseError
from release.sam_build import build_for_aws, build_for_this_machine
from roadmap_content.contracts.errors import ContentError
from tests.sam.deploying import deploy_run_and_delete
from tests.sam.docker_engine import find_engine, in_namespaces, install_engine, start_engine
from tests.sam.running import run_in_containers
from tests.sam.runtime_image import build_runtime_image

FAILED = 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def build() -> None:
    built = build_for_aws()
    _conclude(f"{built.functions} functions and {built.layers} layers were built")


@app.command()
def deploy() -> None:
    """The build can be deployed, saves a roadmap, and can be deleted."""
    _conclude(deploy_run_and_delete(build_for_this_machine()))


@app.command()
def local() -> None:
    """The built functions accept their events, and the API its requests, in the runtime's containers."""
    engine = find_engine()
    if engine is None:
        install_engine()  # fail before the build if it is not available
    built = build_for_this_machine()
    if engine is not None:
        with TemporaryDirectory(prefix="roadmap-sam-") as directory:
            _conclude(run_in_containers(built.template, engine, Path(directory)))
        return
    # There is no network inside the namespaces, so everything is fetched before.
    with step("making the local stack's environments"), ThreadPoolExecutor() as pool:
        for future in (pool.submit(environment_python, "cloud"), pool.submit(environment_python, "runtime")):
            future.result()
        build_layers()
    image = build_runtime_image()
    sys.exit(in_namespaces(__package__, "inside", str(built.template), str(image)))


@app.command(hidden=True)
def inside(template: Path, image: Path, directory: Path) -> None:
    """Continue `local` in separate namespaces."""
    _conclude(run_in_containers(template, start_engine(directory, image), directory))


def _conclude(proven: str) -> None:
    console.print(f"[green]{proven}[/green]", soft_wrap=True)


if __name__ == "__main__":
    try:
        app(prog_name=f"python -m {__package__}")
    except (AssertionError, ContentError, ReleaseError) as error:
        console.print(f"[red]{type(error).__name__}[/red]: ", escape(str(error)), sep="", soft_wrap=True)
        sys.exit(FAILED)
