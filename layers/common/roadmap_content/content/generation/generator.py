"""The interface of a generator: the learner, the limits, and the selection by the setting `GENERATOR`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple, Protocol

from ...contracts.documents import Document
from ...contracts.errors import MissingSettingError, TransientError
from ...contracts.items import ContentType
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.settings import Settings
from ..roadmaps.framework import Concept
from .quota import ModelQuota, TaskBudget, Usage

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_LANGUAGES = ("primary_language", "preferred_language")


@dataclass(frozen=True)
class Learner:
    """The part of the user's request that generators receive. `preferences` is text from the user: data that
    must never be used as instructions.
    """

    language: str = ""
    """The requested language as a tag (`zh`, `en`, `pt-BR`); empty if none was requested."""

    preferences: Mapping[str, object] = field(default_factory=dict)
    course: Mapping[str, str] = field(default_factory=dict)
    """Without a requested language: texts of the course, which show its language."""


ANYONE = Learner()


def learner_from(user_request: object) -> Learner:
    """Read the language and `preferences` from a `user_request`. Any JSON value is accepted. Other fields
    (ids, sessions, flags) are not passed to a generator.

    The product writes `primary_language`, always a tag. Older requests have `preferred_language`, which may
    also be a text: then it stays among the preferences.
    """
    request: Document = user_request if isinstance(user_request, dict) else {}
    preferences = request.get("preferences")
    preferences = dict(preferences) if isinstance(preferences, dict) else {}
    named = [place.get(name) for name in _LANGUAGES for place in (preferences, request)]
    preferences.pop("primary_language", None)
    if _tag(preferences.get("preferred_language")):
        del preferences["preferred_language"]
    return Learner(next(filter(None, map(_tag, named)), ""), preferences)


def _tag(language: object) -> str:
    """The language if it is a tag; otherwise empty: it could be a text that acts as an instruction."""
    return language if isinstance(language, str) and _LANGUAGE_TAG.fullmatch(language) else ""


class Change(NamedTuple):
    """A request to change a saved content."""

    instruction: str
    """Text from a person: it may change the content, and nothing else."""

    present: Document | None
    """The present content with its text; `None` if the item is missing."""


@dataclass(frozen=True)
class GenerationRequest:
    """One item to generate."""

    concept: Concept
    """The concept and its place in the roadmap."""

    content_type: ContentType
    learner: Learner = ANYONE
    refused: str | None = None
    """Why the item's earlier content was refused; `None` if it was not."""

    draft_number: int = 1
    """Above 1 if a saved item is replaced: another number than that of the item's former drafts."""

    change: Change | None = None
    """`None`: a new content, also if one is saved."""

    task_id: str = ""
    roadmap_id: str = ""
    attempt: int = 1
    idempotency_token: str = ""
    """The same for a repeated request, and another one after a refusal."""


@dataclass
class Allowance:
    """The time and tokens for one item, and those that were used. For one thread; the budget is shared."""

    deadline: Deadline
    budget: TaskBudget | None = None
    quota: ModelQuota | None = None
    usage: Usage = field(default_factory=Usage)
    is_usage_known: bool = True
    """Whether every answer had its tokens."""

    model_id: str | None = None
    """The model that was asked; `None` if the generator uses none."""

    prompt_version: str | None = None

    def reserve(self, tokens: int) -> None:
        """Reserve the maximum cost of a call; see `TaskBudget.reserve`."""
        if self.budget is not None:
            self.budget.reserve(tokens)

    def record_usage(self, reserved: int, usage: Usage) -> None:
        """Replace a reservation by the call's usage. Without this, the call stays counted at its maximum."""
        self.usage = self.usage.plus(usage)
        if self.budget is not None:
            self.budget.release(reserved - usage.total)


class OutOfTimeError(TransientError, code="OutOfTime"):
    """The invocation would end before the item is generated."""


class Generator(Protocol):
    """Generates single items. Safe for use by several threads."""

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None, /) -> Document:
        """Generate an item: a valid draft of its content type, or a whole content. Its id and version are
        assigned at staging. Without an allowance for time and tokens, there are no limits.

        Raises:
            ContentError: the item could not be generated; after a `TransientError`, a later try may succeed.
        """


# Each is a module with a function `create(settings) -> Generator`. Only the selected module is imported.
GENERATORS = ("bedrock", "function", "offline")


def generator_named(name: str, settings: Settings | None = None) -> Generator:
    """The generator that the setting `GENERATOR` names.
    Raises MissingSettingError: no generator has this name, or one of the generator's own settings is missing.
    """
    if name not in GENERATORS:
        raise MissingSettingError(f"GENERATOR is {name!r}, not one of: {', '.join(GENERATORS)}")
    module = import_module(f".{name}", __package__)
    generator: Generator = module.create(settings or Settings())
    return generator
