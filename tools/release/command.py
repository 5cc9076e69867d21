"""The commands of releasing: their errors, their exit codes, and their access to AWS."""

import sys
from collections.abc import Callable, Sequence

import typer
from botocore.exceptions import BotoCoreError, ClientError

from roadmap_content.contracts.errors import ContentError

from .errors import ReleaseError

WRONG = 1
UNREACHABLE = 3
"""AWS does not answer, or does not accept the credentials."""

_NO_ACCESS = ("ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException")


def run(command: Callable[..., None], arguments: Sequence[str] | None = None) -> None:
    """Run a command, and print an expected error instead of a traceback."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(command)
    try:
        application(arguments)
    except (ContentError, ReleaseError) as error:
        typer.echo(str(error), err=True)
        sys.exit(WRONG)
    except BotoCoreError as error:
        typer.echo(f"AWS cannot be reached: {error}", err=True)
        sys.exit(UNREACHABLE)
    except ClientError as error:
        typer.echo(str(error), err=True)
        sys.exit(UNREACHABLE if has_no_access(error) else WRONG)


def has_no_access(error: ClientError) -> bool:
    """Whether AWS refused the credentials, and not the request."""
    return error.response["Error"]["Code"] in _NO_ACCESS
