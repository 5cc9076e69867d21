"""The candidates of a comparison: a model of Bedrock with its prompts, or a function of the team."""

import hashlib
import io
import json
import runpy
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from local_stack.errors import RefusedError
from local_stack.own_generator import answer_of
from roadmap_content.content.generation.function import FunctionModel
from roadmap_content.content.generation.generator import GenerationRequest
from roadmap_content.content.generation.model import Answer, Model, QuestionT, Rejected
from roadmap_content.content.generation.prompting import Prompt, PromptedModel
from roadmap_content.platform.aws.team_function import TeamFunction, team_function
from roadmap_content.platform.runtime.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from roadmap_content.content.generation.bedrock import BedrockModel


class Candidate(Model[QuestionT], Protocol[QuestionT]):
    """A model with answers that can be kept."""

    @property
    def name(self) -> str:
        """Its name for people."""

    @property
    def place(self) -> str:
        """Its name, and where the requests go."""

    def key(self, question: QuestionT, rejected: Rejected | None) -> list[Any]:
        """Everything that decides about its answer, as JSON values."""


class BedrockCandidate(PromptedModel):
    """A model of Bedrock. `prompts`: a folder with changed templates; see `prompt_for`."""

    def __init__(self, model: "BedrockModel", prompts: Path | None = None) -> None:
        self._model = model
        self.prompts = prompts
        self.name, self.max_output = model.model_id, model.max_output
        self.socket_timeout = model.socket_timeout
        self.place = f"{model.model_id} in {model.client.meta.region_name}"

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Send one request; see `Model.ask`."""
        return self._model.ask(prompt, rejected)

    def key(self, prompt: Prompt, rejected: Rejected | None) -> list[Any]:
        """Model, prompt, limit, and the rejected answer."""
        model = [self.name, self._model.temperature]
        fault = rejected and [rejected.fault, rejected.answer.original]
        return [model, vars(prompt), prompt.most_output(self.max_output), fault]


@dataclass(frozen=True)
class FunctionCandidate(FunctionModel):
    """A function of the team, by its ARN or in a file."""

    name: str
    place: str
    version: str
    """A hash of the file; empty for an ARN: its code is not known."""

    def key(self, request: GenerationRequest, rejected: Rejected | None) -> list[Any]:
        """The function, and the event without the fields that differ each time."""
        event = self.event(request, rejected).model_dump(exclude={"idempotency_token", "seconds"})
        return [self.name, self.version, event]


def function_candidate(named: str, settings: Settings) -> FunctionCandidate:
    """A function by its ARN, or `def generate(event)` of a file.
    Raises RefusedError: there is no such file, or no such function in it.
    """
    seconds, most_tokens = settings.model_timeout, settings.model_max_output_tokens
    if not named.endswith(".py"):
        return FunctionCandidate(team_function(named, seconds, 8), most_tokens, named, named, "")
    file = Path(named)
    if not file.is_file():
        raise RefusedError(f"there is no file {named}")
    client = cast("LambdaClient", FileClient(file))
    version = hashlib.sha256(file.read_bytes()).hexdigest()
    return FunctionCandidate(
        TeamFunction(client, named, seconds), most_tokens, named, f"{named}, in this process", version
    )


class FileClient:
    """Lambda's client for one function, which is in a file. Its output goes to stderr."""

    def __init__(self, file: Path) -> None:
        sys.path.insert(0, str(file.resolve().parent))
        with redirect_stdout(sys.stderr):
            names = runpy.run_path(str(file))
        if "generate" not in names:
            raise RefusedError(f"{file} has no function generate")
        self._generate: Callable[[Any], object] = names["generate"]

    def invoke(self, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 - of boto3
        """Call the function as Lambda does."""
        kind, body = answer_of(self._generate, json.loads(asked["Payload"]))
        answer = {"Payload": io.BytesIO(body.encode())}
        return answer if kind == "response" else answer | {"FunctionError": "Unhandled"}
