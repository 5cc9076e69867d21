"""The extras of the package: they are not installed by `pip install roadmap-content`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from .errors import MissingExtraError


@contextmanager
def requires_extra(extra: Literal["layer", "command", "local"], purpose: str) -> Iterator[None]:
    """Imports of packages of an extra.

    Raises:
        MissingExtraError: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {error.name}: pip install 'roadmap-content[{extra}]'"
        ) from error
