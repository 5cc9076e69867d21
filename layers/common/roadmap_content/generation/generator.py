"""The interface to whatever makes content, and how the setting `GENERATOR` chooses it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from ..content.kind import Draft
from ..errors import MissingSettingError, TransientError
from ..items import ContentType
from ..roadmaps.framework import Concept
from ..runtime.settings import Settings
from .allowance import Allowance
from .learner import ANYONE, Learner


class OutOfTimeError(TransientError):
    """The invocation would end before the item was made."""

    code = "OutOfTime"


class Generator(Protocol):
    """Makes one item at a time; several threads may ask the same generator."""

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        learner: Learner = ANYONE,
        allowance: Allowance | None = None,
        /,
    ) -> Draft:
        """Make an item: a valid draft of its content type. Ids and versions are given when it is staged.

        Args:
            concept: what it is about, and where it stands in the roadmap.
            content_type: which of the items of the concept.
            learner: for whom.
            allowance: the time and the tokens that it may take, and where they are counted; without it,
                whatever it takes.

        Raises:
            ContentError: the item could not be made; a transient one may succeed later.
        """
        ...


# A generator is a module with `create(settings) -> Generator`, imported only where it is chosen.
_MODULES: Mapping[str, str] = {
    "offline": "offline",
    "bedrock": "bedrock",
}


def generator_named(name: str, settings: Settings | None = None) -> Generator:
    """The generator that the setting `GENERATOR` names.

    Raises:
        MissingSettingError: no generator has this name, or it lacks a setting of its own.
    """
    if name not in _MODULES:
        raise MissingSettingError(f"GENERATOR is {name!r}, not one of: {', '.join(sorted(_MODULES))}")
    module = import_module(f".{_MODULES[name]}", __package__)
    generator: Generator = module.create(settings or Settings())
    return generator
