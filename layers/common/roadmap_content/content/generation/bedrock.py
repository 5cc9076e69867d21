"""Models of Amazon Bedrock through the Converse API, which has one request format for all models.

The request forces the call of one tool with the draft as its input, so that the response is JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import boto3
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from ...contracts.documents import Document
from ...contracts.errors import ModelRefusedRequestError
from ...platform.runtime.settings import Settings
from ...platform.storage.bucket import PARALLEL
from .generator import Generator
from .model import Answer, AnswerLostError, ModelBusyError, ModelGenerator, ModelThrottledError, Rejected
from .prompting import Prompt, PromptedModel
from .quota import Usage

MAX_QUOTE = 200
"""Maximum characters of an unexpected answer that are quoted in a recorded reason."""

_DECLINED: Mapping[str, str] = {
    "content_filtered": "the model's content filter stopped the answer",
    "guardrail_intervened": "a guardrail stopped the answer",
}
_CUT_OFF = ("max_tokens", "model_context_window_exceeded")


@dataclass(frozen=True)
class BedrockModel(PromptedModel):
    """A `Model` for a foundation model or an inference profile, given by id or ARN."""

    client: Any  # BedrockRuntimeClient
    model_id: str
    max_output: int
    socket_timeout: float
    temperature: float | None = None
    """Between 0 and 1; `None` for a model without this parameter."""

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Send one Converse request; see `Model.ask`."""
        limits: dict[str, Any] = {"maxTokens": prompt.most_output(self.max_output)}
        if self.temperature is not None:
            limits["temperature"] = self.temperature
        tool = {
            "name": prompt.tool,
            "description": prompt.description,
            "inputSchema": {"json": prompt.schema},
        }
        try:
            response = self.client.converse(
                modelId=self.model_id,
                system=[{"text": prompt.system}],
                messages=[_message("user", {"text": prompt.user}), *_correction_request(rejected)],
                inferenceConfig=limits,
                toolConfig={"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": prompt.tool}}},
            )
        except ClientError as error:
            raise _refusal(error) from error
        except botocore_errors.ConnectionError as error:  # before the request was sent
            raise ModelBusyError(str(error)) from error
        except HTTPClientError as error:
            raise AnswerLostError(str(error)) from error
        except BotoCoreError as error:
            raise ModelRefusedRequestError(str(error)) from error
        # botocore returns a body that is not JSON as a response without fields.
        if "stopReason" not in response:
            raise AnswerLostError("the response is not a Converse response")
        answer = _read(response, prompt.tool)
        return replace(answer, model_id=self.model_id, prompt_version=prompt.version)


def create(settings: Settings) -> Generator:
    """Create the generator. Sends no request."""
    return ModelGenerator(create_model(settings))


def create_model(settings: Settings) -> BedrockModel:
    """Create the model that the settings name. Sends no request."""
    socket_timeout = settings.model_timeout
    client = boto3.client(
        "bedrock-runtime",
        region_name=settings.model_region,
        config=Config(
            max_pool_connections=PARALLEL,
            connect_timeout=5,
            read_timeout=socket_timeout,
            tcp_keepalive=True,  # NAT gateways drop connections that are idle until the response is complete
            retries={"mode": "standard", "total_max_attempts": 1},  # ModelGenerator retries
        ),
    )
    return BedrockModel(
        client=client,
        model_id=settings.model_id,
        max_output=settings.model_max_output_tokens,
        socket_timeout=socket_timeout,
        temperature=settings.model_temperature,
    )


def _message(role: str, *content: Document) -> Document:
    return {"role": role, "content": list(content)}


def _correction_request(rejected: Rejected | None) -> list[Document]:
    """The messages that return a rejected answer to the model with its fault. The API requires a result for
    each tool use, and an object as its input even if the model sent another type.
    """
    if rejected is None:
        return []
    blocks = rejected.answer.original or []
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    fault = f"Not accepted: {rejected.fault}. Hand in all of it again, corrected."
    if uses:
        calls = [
            {"toolUse": {**use, "input": use["input"] if isinstance(use["input"], dict) else {}}}
            for use in uses
        ]
        results = [
            {"toolResult": {"toolUseId": use["toolUseId"], "status": "error", "content": [{"text": fault}]}}
            for use in uses
        ]
        return [_message("assistant", *calls), _message("user", *results)]
    answer = {"text": _text_of(blocks) or "(nothing)"}
    return [_message("assistant", answer), _message("user", {"text": fault})]


def _read(response: Mapping[str, Any], tool: str) -> Answer:
    """The answer in a Converse response: the input of the tool's call, or the fault why there is none."""
    stop: str = response["stopReason"]
    usage = Usage(response["usage"]["inputTokens"], response["usage"]["outputTokens"])
    blocks: list[Document] = response["output"]["message"]["content"]
    outputs = [block["toolUse"]["input"] for block in blocks if block.get("toolUse", {}).get("name") == tool]
    fault = None
    if stop in _CUT_OFF:
        fault = f"the answer was cut off after {usage.tokens_out} tokens ({stop}): it must be shorter"
    elif not outputs:
        fault = f"the tool {tool} was not called ({stop}): {_text_of(blocks)[:MAX_QUOTE]}"
    output = outputs[0] if outputs else None
    return Answer(usage, output, fault, declined=_DECLINED.get(stop), original=blocks)


def _text_of(blocks: Sequence[Document]) -> str:
    return "\n".join(block["text"] for block in blocks if block.get("text", "").strip()).strip()


def _refusal(error: ClientError) -> ModelBusyError | ModelRefusedRequestError:
    """Classify an error by its HTTP status. Bedrock's 408, 424 and 429 are transient errors of the model."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    details = error.response["Error"]
    reason = f"{details.get('Code', status)}: {details.get('Message', '')}"
    if details.get("Code") == "ThrottlingException":
        return ModelThrottledError(reason)
    transient = status in (408, 424, 429) or status >= 500
    return ModelBusyError(reason) if transient else ModelRefusedRequestError(reason)
