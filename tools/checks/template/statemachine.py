"""Check the `${Substitution}`s of the state machine's definition against the template."""

import re
from collections.abc import Iterator
from pathlib import Path

from local_stack.template_file import Template

from .findings import Finding

_SUBSTITUTION = re.compile(r"\$\{(\w+)\}")
_NUMBERS = frozenset({"MaxConcurrency"})
_COMPUTED_SECONDS = re.compile(r'"Seconds": "\{%[^"]*%\}"')
_ONLY_A_NUMBER = re.compile(r'"\{% (\d+) %\}"')


def check_substitutions(template: Template, base: Path) -> Iterator[Finding]:
    """Check that every substitution is defined and used."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::StateMachine":
            continue
        given = resource["Properties"].get("DefinitionSubstitutions", {}).keys()
        used = set(_SUBSTITUTION.findall((base / resource["Properties"]["DefinitionUri"]).read_text()))
        for name in sorted(used - given):
            yield Finding(logical_id, f"${{{name}}} is used in the definition and not defined")
        for name in sorted(given - used):
            yield Finding(logical_id, f"${{{name}}} is defined and not used in the definition")


def substituted(definition: str) -> str:
    """The definition for a linter: functions become ARNs, numbers a number."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "10" if name in _NUMBERS else f"arn:aws:lambda:eu-central-1:123456789012:function:{name}:live"

    return _SUBSTITUTION.sub(value, definition)


def without_computed_numbers(definition: str) -> str:
    """The definition with a number for each JSONata expression that computes one, as statelint requires."""
    return _COMPUTED_SECONDS.sub('"Seconds": 1', _ONLY_A_NUMBER.sub(r"\1", definition))
