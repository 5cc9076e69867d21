"""The deployments to check after the transform: every environment, and every value of a parameter.

An environment of samconfig.toml is deployed as it is, with examples in place of its placeholders.
Then each parameter gets each of its allowed values, its limits and, if its default is empty, an example: one
at a time, in one environment, because environments differ only in such values.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from local_stack.template_file import Template
from release.configuration import overrides_in, stack_in
from release.stamp import parameters_of

_ARN = "arn:aws:{}:eu-central-1:123456789012:{}"
_SECRET = _ARN.format("secretsmanager", "secret:{}-AbCdEf")
_KEY = _ARN.format("kms", "key/12345678-1234-1234-1234-123456789012")

EXAMPLES: Mapping[str, str] = {
    "AlarmTopicArn": _ARN.format("sns", "alarms"),
    "AwsEndpointUrl": "http://127.0.0.1:4566",
    "ConsoleClientId": "console",
    "ConsolePictureOrigins": "https://pictures.example",
    "ConsoleTokenOrigin": "https://login.example",
    "ContentBucketKeyArn": _KEY,
    "ContentBucketName": "the-products-bucket",
    "ContentCheckFunctionArn": _ARN.format("lambda", "function:check"),
    "CorsOrigins": "https://app.example",
    "DatabaseHost": "database.example",
    "DatabaseMigratorSecretArn": _SECRET.format("migrator"),
    "DatabaseReaderSecretArn": _SECRET.format("reader"),
    "DatabaseResourceId": "cluster-ABCDEFGHIJKL",
    "DatabaseWriterSecretArn": _SECRET.format("writer"),
    "DomainCertificateArn": _ARN.format("acm", "certificate/12345678-1234-1234-1234-123456789012"),
    "DomainName": "roadmaps.example",
    "GeneratorFunctionArn": _ARN.format("lambda", "function:writer"),
    "EventBusArn": _ARN.format("events", "event-bus/product"),
    "JwtAudience": "roadmap-content",
    "JwtIssuer": "https://issuer.example",
    "JwtJwksUrl": "https://issuer.example/keys.json",
    "JwtSecretArn": _SECRET.format("jwt"),
    "ModelArns": ",".join(
        f"arn:aws:bedrock:{region}::foundation-model/a" for region in ("eu-central-1", "eu-west-1")
    ),
    "ModelId": "a",
    "ModelRegion": "eu-west-1",
    "PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
    "SecretsKeyArn": _KEY,
    "SecurityGroupIds": "sg-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
}
"""Values for placeholders, and for the empty defaults that AWS reads. Other empty defaults get any text."""

_TOGETHER: Mapping[str, tuple[str, ...]] = {
    "DatabaseAuth": ("DatabaseHost", "DatabaseResourceId"),
    "DomainName": ("DomainCertificateArn",),
    "Generator": ("GeneratorFunctionArn", "ModelArns", "ModelId"),
    "SubnetIds": ("SecurityGroupIds",),
}
"""The parameters that the template's rules require with another one."""

_VARIED = "staging"


class Deployed(NamedTuple):
    """A deployment to check."""

    name: str
    stack_name: str
    parameters: Mapping[str, str]


def environments_of(template: Template, configuration: Path) -> Iterator[Deployed]:
    """Every environment, as it is deployed."""
    for environment in sorted(tomllib.loads(configuration.read_text()).keys() - {"version", "default"}):
        base = _filled_in(parameters_of(template, overrides_in(configuration, environment)))
        yield Deployed(environment, stack_in(configuration, environment), base)


def deployments_of(template: Template, configuration: Path) -> Iterator[Deployed]:
    """Every environment, and one of them with each value of each parameter."""
    for deployed in environments_of(template, configuration):
        yield deployed
        if deployed.name != _VARIED:
            continue
        for name, declared in template["Parameters"].items():
            needed = {other: EXAMPLES[other] for other in _TOGETHER.get(name, ())}
            for value in _values_of(name, declared):
                changed = {**deployed.parameters, **needed, name: value}
                yield Deployed(f"{deployed.name}, {name}={value}", deployed.stack_name, changed)


def _filled_in(parameters: Mapping[str, str]) -> dict[str, str]:
    return {name: EXAMPLES[name] if value.startswith("<") else value for name, value in parameters.items()}


def _values_of(name: str, declared: Mapping[str, Any]) -> Iterator[str]:
    """The allowed values of a parameter, its limits, and an example in place of an empty default."""
    yield from map(str, declared.get("AllowedValues", []))
    yield from (str(declared[limit]) for limit in ("MinValue", "MaxValue") if limit in declared)
    if declared.get("Default") == "":
        yield EXAMPLES.get(name, "given")
