"""The content types. A new one is a module beside these and a line here."""

from collections.abc import Mapping

from ..items import ContentType
from .kind import Content, ContentKind, Document, Draft, Row, save_parameters
from .quiz import QUIZ
from .resources import RESOURCES
from .tutorial import TUTORIAL

CONTENT_KINDS: Mapping[ContentType, ContentKind] = {
    kind.content_type: kind for kind in (TUTORIAL, RESOURCES, QUIZ)
}

__all__ = [
    "CONTENT_KINDS",
    "QUIZ",
    "RESOURCES",
    "TUTORIAL",
    "Content",
    "ContentKind",
    "Document",
    "Draft",
    "Row",
    "save_parameters",
]
