"""Origins: how an item's content came to be. No I/O."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError

from .payloads import Payload

KEY = "origin"
"""The name of a staged object's metadata with the origin of its content."""

Name = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,2048}$")]
Tokens = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Origin(Payload):
    """The generator of a content. Content that is staged without an origin is the product's."""

    generator: Name = "product"
    """`product`, or the setting `GENERATOR`."""

    model_id: Name | None = None
    prompt_version: Name | None = None
    """The name of the prompt and a hash of its files."""

    service_tier: Name | None = None
    tokens_in: Tokens | None = None
    tokens_out: Tokens | None = None

    def metadata(self) -> dict[str, str]:
        """The origin as metadata of a staged object, in ASCII."""
        return {KEY: self.model_dump_json(exclude_none=True)}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """The origin in a staged object's metadata. Other metadata is the product's."""
        try:
            return cls.model_validate_json(metadata.get(KEY, "{}"))
        except ValidationError:
            return cls()
