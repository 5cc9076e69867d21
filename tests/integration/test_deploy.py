"""The template for the local cloud equals the deployed one, except for the runtime of Python functions."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from local_stack.builds import REPOSITORY
from local_stack.deploy import PythonRuntime, package
from local_stack.template_file import read_template

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Conditions:
  Both: !And [!Condition A, !Not [!Equals [!Ref B, ""]]]
Globals:
  Function: { Runtime: python3.13, Layers: [!Ref Layer] }
Resources:
  First:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: first
      Timeout: 7
      SnapStart: { ApplyOn: PublishedVersions }
      Layers: [!Ref Own]
      Policies: [{ Version: 2012-10-17, Resource: !GetAtt Bucket.Arn }]
      Role: !If [Both, !Sub "${Bucket}/*", !Ref AWS::NoValue]
  Node:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: first, Runtime: nodejs22.x }
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: not-built-here, CompatibleRuntimes: [python3.13] }
  Own:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: not-built-here, CompatibleRuntimes: [python3.13] }
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties: { DefinitionUri: machine.asl.json }
  Bucket:
    Type: AWS::S3::Bucket
"""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator["S3Client"]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="artifacts")
        yield client


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a template and the files that it refers to."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "first").mkdir()
    (tmp_path / "first/app.py").write_text("def handler(event, context): ...")
    (tmp_path / "machine.asl.json").write_text('{"StartAt": "${Name}"}')
    for name in ("common", "own"):
        (tmp_path / f"a layer/{name}/python").mkdir(parents=True)
        (tmp_path / f"a layer/{name}/python/{name}.py").touch()
    return tmp_path


def packaged(base: Path, s3: "S3Client") -> dict[str, Any]:
    layers = {"Layer": base / "a layer/common", "Own": base / "a layer/own"}
    runtime = PythonRuntime(Path("/environments/runtime/bin/python"), layers)
    return package(read_template(base / "template.yaml"), base, runtime, s3, "artifacts")


def fetch(s3: "S3Client", uri: str) -> bytes:
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def unzip(archive: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return {name: files.read(name).decode() for name in files.namelist()}


def test_short_forms_of_intrinsic_functions_are_expanded(base: Path) -> None:
    template = read_template(base / "template.yaml")
    assert template["Conditions"]["Both"] == {
        "Fn::And": [{"Condition": "A"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "B"}, ""]}]}]
    }
    properties = template["Resources"]["First"]["Properties"]
    assert properties["Role"] == {"Fn::If": ["Both", {"Fn::Sub": "${Bucket}/*"}, {"Ref": "AWS::NoValue"}]}
    assert properties["Policies"][0]["Resource"] == {"Fn::GetAtt": ["Bucket", "Arn"]}


def test_an_unquoted_date_stays_a_string(base: Path) -> None:
    policy = read_template(base / "template.yaml")["Resources"]["First"]["Properties"]["Policies"][0]
    assert policy["Version"] == "2012-10-17"


def test_only_python_functions_are_changed_to_use_a_bootstrap(base: Path, s3: "S3Client") -> None:
    before, after = read_template(base / "template.yaml"), packaged(base, s3)
    first = after["Resources"]["First"]["Properties"]
    files = unzip(fetch(s3, first["CodeUri"]))
    assert files.keys() == {"app.py", "bootstrap"}
    path = f"{base}/a layer/common/python:{base}/a layer/own/python"
    assert f"PYTHONPATH='{path}'\n" in files["bootstrap"]
    assert 'exec /environments/runtime/bin/python -m awslambdaric "$_HANDLER"' in files["bootstrap"]
    before["Resources"]["First"]["Properties"] |= {
        "CodeUri": first["CodeUri"],
        "Runtime": "provided.al2023",
    }
    del before["Resources"]["First"]["Properties"]["SnapStart"]
    uploads = (
        ("Node", "CodeUri"),
        ("Layer", "ContentUri"),
        ("Own", "ContentUri"),
        ("Machine", "DefinitionUri"),
    )
    for logical_id, key in uploads:
        before["Resources"][logical_id]["Properties"][key] = after["Resources"][logical_id]["Properties"][key]
    before["Resources"]["Bucket"]["Properties"] = {}
    assert after == before


def test_local_files_are_uploaded(base: Path, s3: "S3Client") -> None:
    resources = packaged(base, s3)["Resources"]
    assert unzip(fetch(s3, resources["Node"]["Properties"]["CodeUri"])).keys() == {"app.py"}
    for layer, name in (("Layer", "common"), ("Own", "own")):
        named = unzip(fetch(s3, resources[layer]["Properties"]["ContentUri"]))
        assert list(named.values()) == [f"{base}/a layer/{name}"], "functions use the built folder itself"
    machine = resources["Machine"]["Properties"]["DefinitionUri"]
    assert fetch(s3, machine) == b'{"StartAt": "${Name}"}', "substitutions are left to CloudFormation"


def test_the_same_sources_get_the_same_key(base: Path, s3: "S3Client") -> None:
    assert packaged(base, s3) == packaged(base, s3)


def test_missing_code_is_refused(base: Path, s3: "S3Client") -> None:
    (base / "first/app.py").unlink()
    (base / "first").rmdir()
    with pytest.raises(FileNotFoundError, match="first"):
        packaged(base, s3)


def test_the_template_of_this_project_can_be_packaged() -> None:
    text = json.dumps(read_template(REPOSITORY / "template.yaml"))
    assert "Fn::GetAtt" in text
    # `${!` is a literal `${` in `Fn::Sub`; the dashboard has it.
    assert "!" not in text.replace("!=", "").replace("${!", "")
