"""Generate one item with a real model, to check its access, its output and its cost.

Nothing is staged or saved. The request equals that of a deployed function, but uses this machine's
credentials.
"""

import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.generation.generator import Allowance, Learner, generator_named
from roadmap_content.content.generation.quota import Usage
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings

_PARAMETERS = {
    "MODEL_STRICT_TOOLS": "ModelStrictTools",
    "MODEL_TEMPERATURE": "ModelTemperature",
    "MODEL_MAX_OUTPUT_TOKENS": "ModelMaxOutputTokens",
    "MODEL_OUTPUT_BURNDOWN": "ModelOutputBurndown",
    "MODEL_BULK_TIER": "ModelBulkTier",
    "MODEL_TIMEOUT": "ModelTimeout",
}
"""The settings that have a default in the template."""


class Generated(NamedTuple):
    """A generated item, its tokens (including those of a rejected answer) and its duration."""

    draft: dict[str, Any]
    usage: Usage
    seconds: float

    def document(self) -> dict[str, Any]:
        """The printed form of the result."""
        return {"draft": self.draft, **self.usage._asdict(), "seconds": round(self.seconds, 1)}


def generate_one(
    concept: Concept,
    content_type: ContentType,
    *,
    language: str = "",
    model_id: str | None = None,
    region: str | None = None,
    socket_timeout: float = 900,
) -> Generated:
    """Generate one item of a concept. `socket_timeout` is in seconds.

    Raises:
        MissingSettingError: no model or region was given, neither as an argument nor by MODEL_ID and
            MODEL_REGION.
        ContentError: the item could not be generated; the message is the reason.
    """
    settings = settings_for(model_id, region)
    allowance = Allowance(Deadline.after(socket_timeout))
    started = time.monotonic()
    generator = generator_named("bedrock", settings)
    draft = generator.generate(concept, content_type, Learner(language), allowance)
    return Generated(draft.model_dump(mode="json"), allowance.usage, time.monotonic() - started)


def settings_for(model_id: str | None, region: str | None) -> Settings:
    """The settings of a deployed function, with this machine's credentials and another model or region."""
    options = {"MODEL_ID": model_id, "MODEL_REGION": region}
    of_this_machine = _given({"MODEL_REGION": os.environ.get("AWS_REGION")}) | dict(os.environ)
    return Settings(_defaults() | of_this_machine | _given(options))


@cache
def _defaults() -> dict[str, str]:
    template = read_template(REPOSITORY / "template.yaml")
    return {name: str(default_of(template, parameter)) for name, parameter in _PARAMETERS.items()}


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
