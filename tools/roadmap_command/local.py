"""Access to the local stack: its packages are an optional extra."""

from typing import TYPE_CHECKING

from roadmap_content.contracts.errors import requires_extra

if TYPE_CHECKING:
    from local_stack.stack import LocalStack


def local_stack() -> "type[LocalStack]":
    """The class of local stacks.

    Raises:
        MissingExtraError: the packages of the extra `local` are not installed.
    """
    with requires_extra("local", "the local stack"):
        from local_stack.stack import LocalStack
    return LocalStack
