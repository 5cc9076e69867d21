"""The state machine's definition for linters, which know no `${Substitution}`."""

import re

_SUBSTITUTION = re.compile(r"\$\{(\w+)\}")
_NUMBERS = frozenset({"MaxConcurrency"})
_COMPUTED_SECONDS = re.compile(r'"Seconds": "\{%[^"]*%\}"')
_ONLY_A_NUMBER = re.compile(r'"\{% (\d+) %\}"')


def substituted(definition: str) -> str:
    """The definition for a linter: functions become ARNs, numbers a number."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "10" if name in _NUMBERS else f"arn:aws:lambda:eu-central-1:123456789012:function:{name}:live"

    return _SUBSTITUTION.sub(value, definition)


def without_computed_numbers(definition: str) -> str:
    """The definition with a number for each JSONata expression that computes one, as statelint requires."""
    return _COMPUTED_SECONDS.sub('"Seconds": 1', _ONLY_A_NUMBER.sub(r"\1", definition))
