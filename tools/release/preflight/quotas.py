"""The model's quotas in the account, against the use by the slots."""

import re
from collections.abc import Iterator, Mapping
from math import ceil

from documents.cost import TOKENS_IN, TOKENS_OUT, tokens_of_a_slot
from roadmap_content.contracts.items import ContentType

from .problem import Problem

FIVEFOLD = re.compile(r"Claude (3\.7|\w+ [4-9])")
"""Models with a quota that counts a token of output five times (Amazon Bedrock's guide, "Token burndown")."""

SLOTS = 10
"""The slots after the migration, if no concurrency is reserved."""


def quotas_of(model: str, quotas: Mapping[str, float]) -> dict[str, float]:
    """The model's quotas by `tokens per minute`, `tokens per day` and `requests per minute`; the smallest of
    each. Service Quotas does not name every model: then there are none, and nothing is compared.
    """
    found: dict[str, float] = {}
    pattern = re.compile(
        rf"(tokens per minute|tokens per day|requests per minute) for (\w+ )?{re.escape(model)}( V\d+)?$"
    )
    for name, value in quotas.items():
        if match := pattern.search(name):
            found[match[1]] = min(value, found.get(match[1], value))
    return found


def problems_of(model: str, quotas: Mapping[str, float], parameters: Mapping[str, str]) -> Iterator[Problem]:
    """Decide whether the quotas hold the calls of all slots, and whether output counts as in Bedrock."""
    burndown = int(parameters["ModelOutputBurndown"])
    expected = 5 if FIVEFOLD.search(model) else burndown
    if burndown != expected:
        yield Problem(
            f"Bedrock's quota counts a token of output of {model} {expected} times, and ModelOutputBurndown "
            f"is {burndown}: calls that the queue allows would be refused",
            f"ModelOutputBurndown={expected}",
        )
    slots = int(parameters["GeneratorConcurrency"]) or SLOTS
    tokens = tokens_of_a_slot(int(parameters["BatchSize"])) / 60  # a minute
    counted = tokens * (TOKENS_IN + expected * TOKENS_OUT) / (TOKENS_IN + TOKENS_OUT)
    needed = {
        "tokens per minute": counted,
        "requests per minute": tokens * len(ContentType) / (TOKENS_IN + TOKENS_OUT),
    }
    found = quotas_of(model, quotas)
    for name, of_slot in needed.items():
        if name in found and found[name] < slots * of_slot:
            yield Problem(
                f"the account has {found[name]:,.0f} {name} of {model}, and {slots} slots use "
                f"{ceil(slots * of_slot):,}",
                f"GeneratorConcurrency={max(1, int(found[name] // of_slot))}, and as many slots (`roadmap "
                "capacity --slots`), or ask for more in Service Quotas (bedrock)",
            )
    if found.get("tokens per day", needed_of_day := int(parameters["TokensPerHour"])) < needed_of_day:
        yield Problem(
            f"the account has {found['tokens per day']:,.0f} tokens per day of {model}, less than the "
            "TokensPerHour of your busiest hour",
            "ask for more in Service Quotas (bedrock), or lower TokensPerHour",
        )
