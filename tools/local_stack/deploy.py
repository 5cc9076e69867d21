"""Deploy `template.yaml` to the local cloud, as `aws cloudformation package` and `deploy` do.

There is one difference from AWS. A `python3.13` function becomes a `provided.al2023` function with a
`bootstrap` that runs awslambdaric, the client of the real Python runtime, in an environment with the packages
of that runtime. Otherwise the cloud would run a Python function in its own interpreter, with its own
packages, and every exception would have the name `Runtime.HandlerError`, so that Retry and Catch by error
name could not be tested. With the real client an error has the same name as in Lambda, a process that exits
is `Runtime.ExitError`, and a timeout is `Sandbox.Timedout`. The cloud does not unpack layers for such a
function: the bootstrap refers to the folders of the built layers instead, and the uploaded layers contain
only the names of these folders. Such a runtime has no SnapStart either.
"""

import hashlib
import io
import json
import shlex
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import failing_model, own_generator
from .builds import source_files
from .errors import LocalServiceError
from .processes import becomes_true
from .template_file import Template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

_LOCAL_PATHS = {
    "AWS::Serverless::Api": "DefinitionUri",
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
"""The properties that refer to a file or folder next to the template."""

_DEADLINE_SECONDS = 600.0


class StackFailedError(LocalServiceError, code="StackFailed"):
    """CloudFormation could not create or delete a stack. The message contains the resource and the reason."""


@dataclass(frozen=True)
class PythonRuntime:
    """The runtime of Python functions: an interpreter with the runtime's packages, and the built layers."""

    interpreter: Path
    layers: Mapping[str, Path]
    """The folder of each layer, by logical id."""

    failures: Path | None = None
    """The file with the failures of the offline model; see `failing_model`."""

    def bootstrap(self, layers: Sequence[str]) -> str:
        """The executable of a custom runtime, which starts the Python runtime's client."""
        path = ":".join(str(self.layers[layer] / "python") for layer in layers)
        program = "-m awslambdaric"
        if self.failures is not None:
            program = f"-P {shlex.quote(failing_model.__file__)}"
        return (
            "#!/bin/sh\n"
            f"export PYTHONPATH={shlex.quote(path)}\n"
            f"export {failing_model.FAILURES}={shlex.quote(str(self.failures))}\n"
            f'exec {shlex.quote(str(self.interpreter))} {program} "$_HANDLER"\n'
        )


def package(template: Template, base: Path, runtime: PythonRuntime, s3: "S3Client", bucket: str) -> Template:
    """Upload the files that the template refers to, and return the template with the URLs of the uploads.

    Raises:
        FileNotFoundError: a file of the template does not exist.
    """

    def upload(name: str, body: bytes) -> str:
        key = f"{hashlib.sha256(body).hexdigest()}{Path(name).suffix}"
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        return f"s3://{bucket}/{key}"

    defaults = template.get("Globals", {}).get("Function", {})
    resources = {}
    for logical_id, resource in template["Resources"].items():
        properties = dict(resource.get("Properties", {}))
        match resource["Type"]:
            case "AWS::Serverless::Function":
                generated: dict[str, str | bytes] = {}
                if properties.get("Runtime", defaults.get("Runtime", "")).startswith("python"):
                    properties["Runtime"] = "provided.al2023"
                    properties.pop("SnapStart", None)
                    layers = [*defaults.get("Layers", []), *properties.get("Layers", [])]
                    generated = {"bootstrap": runtime.bootstrap([layer["Ref"] for layer in layers])}
                code = _files_in(base / properties["CodeUri"])
                properties["CodeUri"] = upload("code.zip", _archive(code | generated))
            case "AWS::Serverless::LayerVersion":
                built = {"built-in.txt": str(runtime.layers[logical_id])}
                properties["ContentUri"] = upload("layer.zip", _archive(built))
            case kind if isinstance(path := properties.get(_LOCAL_PATHS.get(kind, "")), str):
                properties[_LOCAL_PATHS[kind]] = upload(path, (base / path).read_bytes())
        resources[logical_id] = resource | {"Properties": properties}
    return template | {"Resources": resources}


def create_own_generator(client: "LambdaClient", file: Path, environment: Path) -> str:
    """Create the function that runs a file's `generate`, with an environment; return its ARN."""
    program = (sys.executable, "-P", own_generator.__file__, file.resolve(), environment)
    bootstrap = f"#!/bin/sh\nexec {shlex.join(map(str, program))}\n"
    arn: str = client.create_function(
        FunctionName=own_generator.NAME,
        Runtime="provided.al2023",
        Handler="generate",
        Role=f"arn:aws:iam::123456789012:role/{own_generator.NAME}",
        Code={"ZipFile": _archive({"bootstrap": bootstrap})},
        Timeout=900,
    )["FunctionArn"]
    return arn


def upload_template(template: Template, s3: "S3Client", bucket: str) -> str:
    """Upload a template that exceeds the request limit of 51,200 bytes; return its URL."""
    body = json.dumps(template).encode()
    key = f"{hashlib.sha256(body).hexdigest()}.template"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def create_stack(
    cloudformation: "CloudFormationClient", name: str, template_url: str, parameters: Mapping[str, str]
) -> dict[str, str]:
    """Create a stack with the SAM transform and return its outputs.

    Raises:
        StackFailedError: contains the first failed resource and the reason.
    """
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=template_url,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stack = _settle(cloudformation, name)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise StackFailedError(_first_failure(cloudformation, name) or stack.get("StackStatusReason", ""))
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _settle(cloudformation: "CloudFormationClient", name: str) -> Any:  # noqa: ANN401 - a stack's description
    found: list[Any] = []

    def has_settled() -> bool:
        found[:] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return not found[0]["StackStatus"].endswith("_IN_PROGRESS")

    if not becomes_true(has_settled, _DEADLINE_SECONDS):
        raise StackFailedError(f"{name} is {found[0]['StackStatus']} after {_DEADLINE_SECONDS:.0f} s")
    return found[0]


def _first_failure(cloudformation: "CloudFormationClient", name: str) -> str | None:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    for event in reversed(events):  # the latest event comes first
        reason = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
            return f"{event['LogicalResourceId']}: {reason}"
    return None


def _archive(contents: Mapping[str, str | bytes]) -> bytes:
    """Files, by name, as a ZIP archive that depends on their contents only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _files_in(folder: Path) -> dict[str, str | bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in source_files(folder)}
