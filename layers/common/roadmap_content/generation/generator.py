"""The interface to whatever makes content, and how the setting `GENERATOR` chooses it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from ..content import Draft
from ..errors import MissingSettingError
from ..framework import Concept
from ..items import ContentType


class Generator(Protocol):
    """Makes one item at a time; several threads may ask the same generator."""

    def generate(self, concept: Concept, content_type: ContentType) -> Draft:
        """Make an item: a valid draft of its content type. Ids and versions are given when it is staged.

        Raises:
            ContentError: the item could not be made; a transient one may succeed later.
        """
        ...


# A generator is a module with `create() -> Generator`, imported only where it is chosen.
_MODULES: Mapping[str, str] = {
    "offline": "offline",
}


def generator_named(name: str) -> Generator:
    """The generator that the setting `GENERATOR` names.

    Raises:
        MissingSettingError: no generator has this name.
    """
    if name not in _MODULES:
        raise MissingSettingError(f"GENERATOR is {name!r}, not one of: {', '.join(sorted(_MODULES))}")
    generator: Generator = import_module(f".{_MODULES[name]}", __package__).create()
    return generator
