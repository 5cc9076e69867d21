"""The learner for whom content is generated, read from the task's `user_request`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...contracts.documents import Document

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class Learner:
    """The part of the user's request that generators receive.

    `preferences` is text from the user: data that must never be used as instructions.
    """

    language: str = ""
    """The requested language as a tag (`zh`, `en`, `pt-BR`); empty if none was requested."""

    preferences: Mapping[str, object] = field(default_factory=dict)


ANYONE = Learner()


def learner_from(user_request: object) -> Learner:
    """Read the language and `preferences` from a `user_request`. Any JSON value is accepted.

    Other fields (ids, sessions, flags) are not passed to a generator.
    """
    request: Document = user_request if isinstance(user_request, dict) else {}
    preferences = request.get("preferences")
    preferences = dict(preferences) if isinstance(preferences, dict) else {}
    language = preferences.pop("primary_language", request.get("primary_language"))
    is_tag = isinstance(language, str) and _LANGUAGE_TAG.fullmatch(language)
    return Learner(str(language) if is_tag else "", preferences)
