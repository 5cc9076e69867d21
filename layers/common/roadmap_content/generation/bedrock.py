"""Models of Amazon Bedrock, through its Converse API: the same request for all of them.

The answer is asked for as a call of one tool whose input is the draft, so that it comes as JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from ..documents import Document
from ..runtime.settings import Settings
from ..storage.bucket import PARALLEL
from .allowance import Usage
from .generator import Generator
from .model import Answer, AnswerLostError, ModelBusyError, ModelGenerator, ModelRefusedRequestError, Rejected
from .prompting import Prompt

MAX_QUOTE = 200
"""Characters of what a model said instead, in the reason that is recorded."""

_DECLINED: Mapping[str, str] = {
    "content_filtered": "the model's content filter stopped the answer",
    "guardrail_intervened": "a guardrail stopped the answer",
}
_CUT_OFF = ("max_tokens", "model_context_window_exceeded")


@dataclass(frozen=True)
class BedrockModel:
    """A `Model`: a foundation model, or an inference profile, by id or by ARN."""

    client: Any  # BedrockRuntimeClient
    model_id: str
    max_output: int
    socket_timeout: float
    temperature: float | None = None
    """Between 0 and 1; `None` for a model that does not take one."""

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Converse once; see `Model.ask`."""
        limits: dict[str, Any] = {"maxTokens": self.max_output}
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
                messages=[_says("user", {"text": prompt.user}), *_sent_back(rejected)],
                inferenceConfig=limits,
                toolConfig={"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": prompt.tool}}},
            )
        except ClientError as error:
            raise _refusal(error) from error
        except botocore_errors.ConnectionError as error:  # before anything was sent
            raise ModelBusyError(str(error)) from error
        except HTTPClientError as error:
            raise AnswerLostError(str(error)) from error
        except BotoCoreError as error:
            raise ModelRefusedRequestError(str(error)) from error
        if "stopReason" not in response:  # botocore passes on what is not JSON, as an answer without fields
            raise AnswerLostError("what came is not an answer of Converse")
        return _read(response, prompt.tool)


def create(settings: Settings) -> Generator:
    """The generator of this module. Nothing is asked yet."""
    socket_timeout = settings.model_timeout
    client = boto3.client(
        "bedrock-runtime",
        region_name=settings.model_region,
        config=Config(
            max_pool_connections=PARALLEL,
            connect_timeout=5,
            read_timeout=socket_timeout,
            tcp_keepalive=True,  # nothing is heard until the answer is whole, and NAT gateways forget
            retries={"mode": "standard", "total_max_attempts": 1},  # we know how much time is left
        ),
    )
    return ModelGenerator(
        BedrockModel(
            client=client,
            model_id=settings.model_id,
            max_output=settings.model_max_output_tokens,
            socket_timeout=socket_timeout,
            temperature=settings.model_temperature,
        )
    )


def _says(role: str, *content: Document) -> Document:
    return {"role": role, "content": list(content)}


def _sent_back(rejected: Rejected | None) -> list[Document]:
    """The rejected answer and what is wrong with it, as the conversation goes on.

    Each use of a tool must be followed by its result, and its input must be an object even where the
    model's was not.
    """
    if rejected is None:
        return []
    blocks = rejected.answer.original or []
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    fault = f"Not accepted: {rejected.fault}. Hand in all of it again, corrected."
    if uses:
        inputs = [use["input"] if isinstance(use["input"], dict) else {} for use in uses]
        calls = [{"toolUse": {**use, "input": input_}} for use, input_ in zip(uses, inputs, strict=True)]
        results = [
            {"toolResult": {"toolUseId": use["toolUseId"], "status": "error", "content": [{"text": fault}]}}
            for use in uses
        ]
        return [_says("assistant", *calls), _says("user", *results)]
    said = _said(blocks) or "(nothing)"
    return [_says("assistant", {"text": said}), _says("user", {"text": fault})]


def _read(response: Mapping[str, Any], tool: str) -> Answer:
    stop: str = response["stopReason"]
    usage = Usage(response["usage"]["inputTokens"], response["usage"]["outputTokens"])
    blocks: list[Document] = response["output"]["message"]["content"]
    outputs = [block["toolUse"]["input"] for block in blocks if block.get("toolUse", {}).get("name") == tool]
    fault = None
    if stop in _CUT_OFF:
        fault = f"the answer was cut off after {usage.tokens_out} tokens ({stop}): it must be shorter"
    elif not outputs:
        fault = f"the tool {tool} was not called ({stop}): {_said(blocks)[:MAX_QUOTE]}"
    return Answer(
        usage=usage,
        output=outputs[0] if outputs else None,
        fault=fault,
        declined=_DECLINED.get(stop),
        original=blocks,
    )


def _said(blocks: Sequence[Document]) -> str:
    return "\n".join(block["text"] for block in blocks if block.get("text", "").strip()).strip()


def _refusal(error: ClientError) -> ModelBusyError | ModelRefusedRequestError:
    """Tell by its status what may heal: Bedrock's 408, 424 and 429 are of the model, not of the request."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    details = error.response["Error"]
    reason = f"{details.get('Code', status)}: {details.get('Message', '')}"
    may_heal = status in (408, 424, 429) or status >= 500
    return ModelBusyError(reason) if may_heal else ModelRefusedRequestError(reason)
