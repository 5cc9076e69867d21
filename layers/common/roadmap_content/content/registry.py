"""The registered content types. A new content type is a module in this package and a line here."""

from collections.abc import Mapping

from ..items import ContentType
from .kind import ContentKind
from .quiz import QUIZ
from .resources import RESOURCES
from .tutorial import TUTORIAL

CONTENT_KINDS: Mapping[ContentType, ContentKind] = {
    kind.content_type: kind for kind in (TUTORIAL, RESOURCES, QUIZ)
}
