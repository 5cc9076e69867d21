"""The registered content types: each member of `ContentType` is a folder of this package."""

from collections.abc import Mapping
from importlib import import_module

from ..contracts.items import ContentType
from .kind import ContentKind

CONTENT_KINDS: Mapping[ContentType, ContentKind] = {
    content_type: import_module(f".{content_type}", __package__).KIND for content_type in ContentType
}
