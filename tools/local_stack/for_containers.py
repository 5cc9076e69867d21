"""Use the local stack from containers, which reach this machine at an address other than 127.0.0.1."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from .processes import HOST
from .relay import relayed

if TYPE_CHECKING:
    from .stack import LocalStack

_OF_THIS_MACHINE = (HOST, "localhost", "::1")
_DATABASE_SECRETS = ("DATABASE_SECRET_ARN", "READER_SECRET_ARN")


def variables_for_containers(stack: "LocalStack", address: str) -> dict[str, dict[str, str]]:
    """The variables of the functions, by logical id, with an address of this machine instead of 127.0.0.1.

    The secrets of the database are copied with that address.
    """
    client = stack.client("secretsmanager")

    @cache
    def copied(arn: str) -> str:
        secret = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        if secret["host"] in _OF_THIS_MACHINE:
            secret["host"] = address
        name = f"{secret['username']}-of-containers-{secrets.token_hex(4)}"
        arn_of_copy: str = client.create_secret(Name=name, SecretString=json.dumps(secret))["ARN"]
        return arn_of_copy

    endpoint = {"AWS_ENDPOINT_URL": f"http://{address}:{stack.cloud.port}"}
    return {
        logical_id: {
            name: copied(value) if name in _DATABASE_SECRETS else value for name, value in variables.items()
        }
        | endpoint
        for logical_id, variables in stack.variables().items()
    }


@contextmanager
def reachable_at(stack: "LocalStack", address: str) -> Iterator[None]:
    """Relay connections to the same ports of another address of this machine to the stack.

    Raises:
        OSError: `address` is not an address of this machine.
    """
    database = make_url(stack.database_url)
    ports = [stack.cloud.port]
    if database.host in _OF_THIS_MACHINE:
        ports.append(database.port or 5432)
    with ExitStack() as relays:
        for port in ports:
            relays.enter_context(relayed((address, port), (HOST, port)))
        yield
