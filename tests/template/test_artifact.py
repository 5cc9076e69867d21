"""A release is built once, and the real SAM CLI deploys its archive, with the settings of samconfig.toml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from release.__main__ import deploy_command, require_architecture
from release.artifact import pack, self_contained, unpack
from release.configuration import CONFIGURATION, overrides_in
from release.errors import ReleaseError
from release.sam_cli import sam_command
from tests.support.http_server import HttpServer, Reply, Request
from tests.template.sam_cli import DeployOptions, run_sam

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters: { Architecture: { Type: String, Default: arm64 } }
Globals: { Function: { Environment: { Variables: { RELEASE: unreleased } } } }
Resources:
  Schema: { Type: Custom::Schema, Properties: { ServiceToken: arn, Release: unreleased } }
  First:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: First, Runtime: python3.13, Handler: app.handler }
  CommonLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: CommonLayer }
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties: { Role: arn, DefinitionUri: ../../source/machine.asl.json }
"""
DEFINITION = '{"StartAt": "Only", "States": {"Only": {"Type": "Succeed"}}}'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The template of a `sam build`, as SAM leaves it: the definition is in the checkout."""
    folder = tmp_path / "sam/build"
    (folder / "First").mkdir(parents=True)
    (folder / "First/app.py").write_text("def handler(event, context): ...")
    for name, version, more in (("Some_Package", "1.2", "License-Expression: MIT\n"), ("other", "3", "")):
        package = folder / f"CommonLayer/python/{name}-{version}.dist-info"
        package.mkdir(parents=True)
        (package / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{more}")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/machine.asl.json").write_text(DEFINITION)
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder / "template.yaml"


@pytest.fixture
def archive(built: Path, tmp_path: Path) -> Path:
    archive = tmp_path / "release.tar.gz"
    pack(self_contained(built, "c1"), archive)
    (tmp_path / "source/machine.asl.json").unlink()  # it is deployed from another machine
    return archive


class Uploads(NamedTuple):
    """A bucket that accepts everything."""

    url: str
    bodies: dict[str, bytes]


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    bodies: dict[str, bytes] = {}

    def answer(request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(200 if request.target in bodies else 404)
        bodies[request.target] = request.body
        return Reply()

    with HttpServer(answer) as server:
        yield Uploads(server.url, bodies)


def test_sam_uploads_everything_from_the_archive(archive: Path, uploads: Uploads, tmp_path: Path) -> None:
    unpacked = unpack(archive, tmp_path / "elsewhere")
    done = run_sam(
        ["package", "--s3-bucket", "bucket", "--template-file", unpacked.template], tmp_path, uploads.url
    )
    assert done.returncode == 0, done.stderr
    assert len(uploads.bodies) == 3, "a function, a layer and a definition"
    assert any(DEFINITION.encode() in body for body in uploads.bodies.values())


def test_the_same_build_gives_the_same_archive(built: Path, tmp_path: Path) -> None:
    archives = [tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"]
    for archive in archives:
        pack(self_contained(built, "c1"), archive)
        (built.parent / "First/app.py").touch()
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_an_archive_knows_its_commit_and_its_architecture(archive: Path, tmp_path: Path) -> None:
    unpacked = unpack(archive, tmp_path / "elsewhere")
    assert unpacked[1:] == ("c1", "arm64")
    require_architecture(unpacked, "arm64")
    with pytest.raises(ReleaseError, match="is for arm64, the environment's Architecture is x86_64"):
        require_architecture(unpacked, "x86_64")


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ReleaseError, match="is not an artefact"):
        unpack(tmp_path / "file", tmp_path / "elsewhere")


def test_the_bill_of_materials_lists_the_packages_in_the_layers(built: Path, tmp_path: Path) -> None:
    bill = json.loads(pack(self_contained(built, "c1"), tmp_path / "release.tar.gz").read_text())
    listed = {each["purl"]: each.get("licenses") for each in bill["components"]}
    assert listed == {
        "pkg:pypi/some-package@1.2": [{"license": {"acknowledgement": "declared", "id": "MIT"}}],
        "pkg:pypi/other@3": None,
    }
    assert bill["metadata"]["component"]["version"] == "c1"


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_sam_finds_the_configuration_of_the_environment(
    archive: Path, environment: str, tmp_path: Path, read_deploy_options: DeployOptions
) -> None:
    built, overrides = unpack(archive, tmp_path / "elsewhere"), overrides_in(CONFIGURATION, environment)
    command = deploy_command(built, environment, overrides, "r-1", ask=True)
    options = read_deploy_options(command, tmp_path)
    assert options["stack_name"] == f"roadmap-content-{environment}"
    assert options["tags"]["environment"] == environment
    assert ("first-day" in options["tags"]) is (environment != "prod"), "users may be disturbed"
    assert options["capabilities"] == ["CAPABILITY_IAM"]
    assert options["s3_prefix"] == (None if environment == "dev" else options["stack_name"])
    assert bool(options["role_arn"]) is (environment != "dev")
    assert options["confirm_changeset"] is (environment != "dev")
    assert options["parameter_overrides"] == overrides
    deployed = read_template(Path(options["template_file"]))
    assert deployed["Resources"]["Schema"]["Properties"]["Release"] == "r-1"


def test_sam_gets_every_value_as_it_is_in_the_release(
    archive: Path, tmp_path: Path, read_deploy_options: DeployOptions
) -> None:
    given = {"A": "a b", "B": "", "C": 'say "x"', "D": "p=q,r", "E": "0", "F": "back\\slash", "G": "true"}
    built = unpack(archive, tmp_path / "elsewhere")
    command = deploy_command(built, "prod", given, "r-1", ask=False)
    options = read_deploy_options(command, tmp_path)
    assert options["parameter_overrides"] == given
    assert options["confirm_changeset"] is False


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_sam_deploy_by_hand_gets_the_same_values(
    environment: str, tmp_path: Path, read_deploy_options: DeployOptions
) -> None:
    """`sam build && sam deploy` reads samconfig.toml itself."""
    template = REPOSITORY / "template.yaml"
    command = sam_command(
        *("deploy", "--config-file", CONFIGURATION, "--config-env", environment, "--template-file", template)
    )
    options = read_deploy_options(command, tmp_path)
    assert options["parameter_overrides"] == overrides_in(CONFIGURATION, environment)
