"""For whom content is made: what the task's `user_request` says of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..documents import Document

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class Learner:
    """What a generator may know of the user. `preferences` are the user's own words: data, and no more."""

    language: str = ""
    """The language asked for, as a tag (`zh`, `en`, `pt-BR`); empty where none was."""

    preferences: Mapping[str, object] = field(default_factory=dict)


ANYONE = Learner()


def learner_from(user_request: object) -> Learner:
    """Read a `user_request`, whatever the product wrote there.

    Of all that it may hold (ids, sessions, flags) only `preferences` are a generator's business.
    """
    request: Document = user_request if isinstance(user_request, dict) else {}
    preferences = request.get("preferences")
    preferences = dict(preferences) if isinstance(preferences, dict) else {}
    language = preferences.pop("primary_language", request.get("primary_language"))
    known = isinstance(language, str) and _LANGUAGE_TAG.fullmatch(language)
    return Learner(str(language) if known else "", preferences)
