"""The declarations of the package are consistent."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from local_stack.builds import REPOSITORY
from local_stack.environments import INSTALL
from local_stack.layers import MAKEFILE

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
SOURCES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["sources"]


def test_the_client_and_the_extra_layer_have_the_dependencies_of_the_layer() -> None:
    project = PROJECT["project"]
    layer = {*project["dependencies"], *project["optional-dependencies"]["layer"]}
    assert layer == set(PROJECT["dependency-groups"]["layer"])


CLIENT = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + sys.argv[1:]
from roadmap_content import Client, MissingExtraError
from roadmap_command.entry import main
client = Client(api_url="http://api", token=str, bucket="content", state_machine_arn="arn")
for needs in (lambda: client.stage("r-1", "c-1", "quiz", {}), lambda: client.start("t-1")):
    try:
        needs()
    except MissingExtraError as error:
        print(error)
main()
"""


def test_the_client_needs_pydantic_alone_and_everything_else_names_its_extra(tmp_path: Path) -> None:
    """A folder with pydantic and our packages, in place of the environment's packages."""
    pydantic = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")
    for name in (*pydantic, "roadmap_content", "roadmap_command"):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin)
        source = source.parent if source.name == "__init__.py" else source
        (tmp_path / source.name).symlink_to(source)
    command = [sys.executable, "-I", "-S", "-c", CLIENT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "`stage` needs the package boto3: pip install 'roadmap-content[layer]'",
        "`start` needs the package boto3: pip install 'roadmap-content[layer]'",
    ]
    needed = (
        r"MissingExtra: the command `roadmap` needs the package \w+: pip install 'roadmap-content\[comm.*\n"
    )
    assert re.fullmatch(needed, done.stderr), done.stderr
    assert done.returncode == 2


def test_the_wheel_contains_the_files_of_the_deployment() -> None:
    for source, target in SOURCES.items():
        assert (REPOSITORY / source).exists()
        assert target in (f"local_stack/product/{source}", Path(source).name), target


def test_the_wheel_contains_the_files_of_a_local_stack() -> None:
    for read in ("template.yaml", "database/roles.sql", "statemachine", "functions"):
        assert read in SOURCES, read


def test_pip_never_resolves_what_a_lock_file_pins() -> None:
    """Otherwise the pip of Python 3.11 refuses a complete lock file, as soon as a package that another one
    requires with an extra has a newer release.
    """
    texts = [(REPOSITORY / "Makefile").read_text(), MAKEFILE.read_text(), " ".join(INSTALL)]
    for text in texts:
        lines = [line for line in text.splitlines() if "install" in line and "--require-hashes" in line]
        assert lines
        assert all("--no-deps" in line for line in lines)


def test_an_isolated_build_installs_the_locked_backend() -> None:
    backend = PROJECT["build-system"]["requires"]
    locked = re.findall(r"^\S+==[^\s;]+", (REPOSITORY / "requirements/dev.txt").read_text(), re.MULTILINE)
    assert set(backend) <= set(locked)
    needed = {
        re.split(r"[^A-Za-z0-9_.-]", each)[0] for each in requires("hatchling") or () if "python" not in each
    }
    assert needed | {"hatchling"} == {each.partition("==")[0] for each in backend}
