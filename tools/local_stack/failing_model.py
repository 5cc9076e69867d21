"""Start the Python runtime of a local function, with an offline model that fails as the file in
`ROADMAP_MODEL_FAILURES` says. Only the local stack starts this program, so no deployed function can fail so.

The file has one or more of `KIND PERCENT` (`refuse 10, slow 50`); it is read for each item, so that a change
applies at once, and an empty or missing file ends the incident. For the functions' own Python: standard
library and the layers only.
"""

import os
import random
import re
import runpy
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

SLOW_SECONDS = 5.0

FAILURES = "ROADMAP_MODEL_FAILURES"

KINDS = ("refuse", "throttle", "cut", "slow", "down")


def parse(text: str) -> Mapping[str, float]:
    """The shares of the items that fail, by kind. Raises ValueError: the text is not a list of failures."""
    shares = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(rf"({'|'.join(KINDS)})(?: (\d{{1,3}}) ?%?)?", part)
        if match is None:
            raise ValueError(f"{part!r} is none of {', '.join(KINDS)} with a percentage, like 'refuse 10 %'")
        shares[match[1]] = int(match[2] or 100) / 100
    return shares


def fail_sometimes(file: Path, draw: Callable[[], float] = random.random) -> None:
    """Let the offline generator fail as the file describes."""
    from roadmap_content.content.generation.model import AnswerLostError, ModelBusyError, ModelThrottledError
    from roadmap_content.content.generation.offline import OfflineGenerator
    from roadmap_content.contracts.errors import ModelRefusedRequestError

    errors = {
        "refuse": ModelRefusedRequestError("the local model refuses requests: roadmap up --fail"),
        "throttle": ModelThrottledError("the local model throttles requests: roadmap up --fail"),
        "cut": AnswerLostError("the local model cuts its answers off: roadmap up --fail"),
        "down": ModelBusyError("the local model does not answer: roadmap up --fail"),
    }
    generate = OfflineGenerator.generate

    def failing(generator: OfflineGenerator, *arguments: Any) -> Any:  # noqa: ANN401 - as of the generator
        shares = parse(file.read_text()) if file.exists() else {}
        for kind, share in shares.items():
            if draw() >= share:
                continue
            if kind == "slow":
                time.sleep(SLOW_SECONDS)
            else:
                raise errors[kind]
        return generate(generator, *arguments)

    OfflineGenerator.generate = failing  # type: ignore[method-assign]


def main() -> NoReturn:
    """Start the runtime's client, with the handler that is the argument of this program."""
    if "GenerateContent" in os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""):
        fail_sometimes(Path(os.environ[FAILURES]))
    sys.path.insert(0, str(Path.cwd()))  # the function's code, as with `python -m`
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
    raise SystemExit


if __name__ == "__main__":
    main()
