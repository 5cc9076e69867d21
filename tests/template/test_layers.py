"""The built layers: size, platform and compiled code."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.layers import LAYERS, MAKEFILE, build_layers

UNZIPPED, ZIPPED = 45_000_000, 15_000_000
"""Maximum bytes of a layer, of the 250 MB that Lambda accepts for a function and its layers."""

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


def make(target: str, source: Path, directory: Path, **variables: str) -> str:
    """Run the Makefile as SAM does; return its output."""
    environment = {**os.environ, "ARTIFACTS_DIR": str(directory), **variables}
    said = subprocess.run(
        ["/usr/bin/make", "--silent", "--makefile", MAKEFILE, target],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout


def has_python_313() -> bool:
    """Whether Python 3.13 is installed, which is needed to compile for it."""
    candidates = (sys.executable, "python3.13")
    return any(
        subprocess.run([found, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 13))"]).returncode == 0
        for candidate in candidates
        if (found := shutil.which(candidate))
    )


@pytest.fixture(scope="module", params=MACHINES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    architecture: str = request.param
    directory = tmp_path_factory.mktemp(architecture)
    for logical_id, layer in LAYERS.items():
        variables = {"ARCHITECTURE": architecture, "PYTHON": sys.executable, "TARGET": "lambda"}
        said = make(f"build-{logical_id}", layer.source, directory / logical_id, **variables)
        assert ("WARNING" in said) is not has_python_313()
    return architecture, directory


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.parametrize("logical_id", LAYERS)
def test_the_size_of_a_layer_is_limited(built: tuple[str, Path], logical_id: str, tmp_path: Path) -> None:
    layer = built[1] / logical_id
    assert sum(path.stat().st_size for path in files(layer)) <= UNZIPPED
    with zipfile.ZipFile(tmp_path / "layer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(layer):
            archive.write(path, path.relative_to(layer))
    assert (tmp_path / "layer.zip").stat().st_size <= ZIPPED


def test_binaries_are_built_for_the_platform(built: tuple[str, Path]) -> None:
    architecture, directory = built
    binaries = [path.name for path in files(directory) if path.suffix == ".so"]
    assert len(binaries) >= 5
    foreign = {name for name in binaries if "cpython" in name} - {
        name for name in binaries if f"cpython-313-{MACHINES[architecture]}-linux" in name
    }
    assert foreign == set()


def test_code_is_compiled_for_python_3_13_with_unchecked_hashes(built: tuple[str, Path]) -> None:
    compiled = [path for path in files(built[1] / "CommonLayer") if path.suffix == ".pyc"]
    if not has_python_313():
        assert compiled == []
        return
    assert all(path.name.endswith(".cpython-313.pyc") for path in compiled)
    # The second word of the header: 1 means hash-based and unchecked, 3 means checked.
    assert {path.read_bytes()[4] for path in compiled} == {1}
    own = built[1] / "CommonLayer/python/roadmap_content"
    sources = {path.relative_to(own) for path in own.rglob("*.py")}
    assert sources == {
        path.relative_to(own).parent.parent / f"{path.name.partition('.')[0]}.py"
        for path in compiled
        if own in path.parents
    }


def test_the_layers_have_no_unused_packages_and_no_duplicates(built: tuple[str, Path]) -> None:
    packages = [path.name for layer in built[1].iterdir() for path in (layer / "python").iterdir()]
    assert "greenlet" not in packages
    assert {name for name in packages if packages.count(name) > 1} <= {"__pycache__"}


SDK = """
import json, sys
import boto3, botocore
created = [boto3.client(service).meta.service_model.service_name for service in sys.argv[1:]]
print(json.dumps([boto3.__file__, boto3.__version__, botocore.__file__, botocore.__version__, created]))
"""


def test_functions_use_the_layer_s_sdk_and_it_knows_their_services() -> None:
    layers = [str(layer / "python") for layer in build_layers().values()]
    code = "".join(path.read_text() for path in (REPOSITORY / "layers/common").rglob("*.py"))
    services = sorted(set(re.findall(r'(?:boto3\.|create_)client\(\s*"([a-z0-9-]+)"', code)))
    assert len(services) >= 7
    said = subprocess.run(
        [environment_python("runtime"), "-B", "-c", SDK, *services],
        env={"PYTHONPATH": ":".join(layers), "AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    boto3, version, botocore, core_version, created = json.loads(said.stdout)
    assert boto3.startswith(layers[0])
    assert botocore.startswith(layers[0])
    lock = (REPOSITORY / "layers/common/requirements.txt").read_text()
    assert {f"boto3=={version}", f"botocore=={core_version}"} <= set(lock.split())
    assert created == services
    kept = [path.name for path in (Path(botocore).parent / "data").iterdir() if path.is_dir()]
    assert sorted(kept) == services


WITHOUT_PYC = """
import importlib.util, json, pathlib, sys
layers, apps = json.loads(sys.argv[1]), sys.argv[2:]
for app in apps:
    spec = importlib.util.spec_from_file_location("app", app)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
import boto3, sqlalchemy.dialects.postgresql.pg8000
print(json.dumps([
    name for name, module in sys.modules.items()
    if (file := getattr(module, "__file__", None)) and file.endswith(".py") and file.startswith(tuple(layers))
    and not pathlib.Path(importlib.util.cache_from_source(file)).exists()
]))
"""


def test_every_module_that_a_function_imports_is_compiled() -> None:
    layers = [str(layer / "python") for layer in build_layers().values()]
    apps = [path for path in REPOSITORY.glob("functions/*/app.py") if path.parent.name != "migrate_database"]
    assert len(apps) > 10
    said = subprocess.run(
        [environment_python("runtime"), "-B", "-c", WITHOUT_PYC, json.dumps(layers), *apps],
        cwd=REPOSITORY,
        env={"PYTHONPATH": ":".join(layers), "AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout) == []
