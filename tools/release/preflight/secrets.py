"""Secrets: they exist, can be decrypted, and have the shape that the functions read."""

import json
from collections.abc import Iterator, Mapping

from botocore.exceptions import ClientError

from ..clients import Clients
from .problem import Problem, Target

_KEYS = ("host", "port", "dbname", "username", "password")
_ROLES = {"Migrator": False, "Writer": True, "Reader": True}
"""The secrets of the database, and whether a migration grants their role access by its name."""

_SHORTEST_KEY = 32
"""Bytes of a key for HS256 (RFC 7518, 3.2)."""


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read every secret of the parameters and decide."""
    parameters = target.parameters
    if parameters["DatabaseAuth"] == "secret":
        for role, is_granted in _ROLES.items():
            parameter = f"Database{role}SecretArn"
            name = f"{parameters['DatabaseRolePrefix']}{role.lower()}" if is_granted else ""
            yield from problems_of_login(parameter, _read(parameters[parameter], clients), name)
    if arn := parameters["JwtSecretArn"]:
        yield from problems_of_key(arn, _read(arn, clients))


def problems_of_login(parameter: str, value: str | None, role: str) -> Iterator[Problem]:
    """Decide whether a secret is a login of the role. `value` is `None` if there is no secret."""
    shape = json.dumps(dict.fromkeys(_KEYS, "…"), ensure_ascii=False)
    remedy = f"aws secretsmanager put-secret-value --secret-id ARN --secret-string '{shape}'"
    if value is None:
        yield Problem(
            f"{parameter}: there is no such secret in this region",
            f"aws secretsmanager create-secret --name NAME --secret-string '{shape}'",
        )
        return
    login = _object(value)
    if login is None:
        yield Problem(f"{parameter}: the secret is not a JSON object", remedy)
    elif missing := [key for key in _KEYS if not str(login.get(key) or "")]:
        yield Problem(f"{parameter}: the secret lacks {', '.join(missing)}", remedy)
    elif not str(login["port"]).isdecimal():
        yield Problem(f"{parameter}: the secret's port is not a number", remedy)
    elif role and login["username"] != role:
        yield Problem(
            f"{parameter}: the secret's username is not {role}, to which migrations grant access",
            "change the secret's username, or the parameter DatabaseRolePrefix",
        )


def problems_of_key(arn: str, value: str | None) -> Iterator[Problem]:
    """Decide whether a shared secret can sign tokens."""
    if value is None:
        yield Problem(
            f"JwtSecretArn: there is no secret {arn} in this region",
            'aws secretsmanager create-secret --name NAME --secret-string "$(openssl rand -base64 48)"',
        )
    elif len(value.encode()) < _SHORTEST_KEY:
        yield Problem(
            f"JwtSecretArn: the secret is shorter than {_SHORTEST_KEY} bytes",
            "aws secretsmanager put-secret-value --secret-id ARN "
            '--secret-string "$(openssl rand -base64 48)"',
        )


def _object(value: str) -> Mapping[str, object] | None:
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _read(arn: str, clients: Clients) -> str | None:
    try:
        answer = clients("secretsmanager", "").get_secret_value(SecretId=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"):
            return None  # also one that is marked for deletion
        raise
    return str(answer.get("SecretString", ""))
