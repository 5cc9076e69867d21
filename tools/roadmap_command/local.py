"""Access to the local stack, whose packages are an optional extra."""

from typing import TYPE_CHECKING

from local_stack.errors import MissingExtraError

if TYPE_CHECKING:
    from local_stack.stack import LocalStack


def local_stack() -> "type[LocalStack]":
    """The class of local stacks.

    Raises:
        MissingExtraError: the packages of the extra `local` are not installed.
    """
    try:
        from local_stack.stack import LocalStack
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the local stack needs the package {error.name}; in a clone, run: "
            "pip install --no-deps --require-hashes --requirement requirements/local.txt"
        ) from error
    return LocalStack
