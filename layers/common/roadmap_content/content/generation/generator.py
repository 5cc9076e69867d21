"""The interface of a generator, and its selection by the setting `GENERATOR`."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from ...contracts.errors import MissingSettingError, TransientError
from ...contracts.items import ContentType
from ...platform.runtime.settings import Settings
from ..kind import Draft
from ..roadmaps.framework import Concept
from .allowance import Allowance
from .learner import ANYONE, Learner


class OutOfTimeError(TransientError, code="OutOfTime"):
    """The invocation would end before the item is generated."""


class GenerationStoppedError(TransientError, code="GenerationStopped", is_excused=True):
    """An operator has stopped generation. The state machine repeats the batch until it is resumed."""


class Generator(Protocol):
    """Generates single items. Safe for use by several threads."""

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        learner: Learner = ANYONE,
        allowance: Allowance | None = None,
        refused: str | None = None,
        /,
    ) -> Draft:
        """Generate an item: a valid draft of its content type. Its id and version are assigned at staging.

        Args:
            concept: the concept and its place in the roadmap.
            content_type: the content type of the item.
            learner: the user's language and preferences.
            allowance: limits for time and tokens, and the counter of used tokens; without it, no limits.
            refused: why the item's earlier content was refused; given only if it was.

        Raises:
            ContentError: the item could not be generated; after a `TransientError`, a later try may succeed.
        """
        ...


# Each module has a function `create(settings) -> Generator`. Only the selected module is imported.
_MODULES: Mapping[str, str] = {"offline": "offline", "bedrock": "bedrock"}


def generator_named(name: str, settings: Settings | None = None) -> Generator:
    """The generator that the setting `GENERATOR` names.

    Raises:
        MissingSettingError: no generator has this name, or one of the generator's own settings is missing.
    """
    if name not in _MODULES:
        raise MissingSettingError(f"GENERATOR is {name!r}, not one of: {', '.join(sorted(_MODULES))}")
    module = import_module(f".{_MODULES[name]}", __package__)
    generator: Generator = module.create(settings or Settings())
    return generator
