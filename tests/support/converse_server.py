"""A fake Converse server: HTTP on 127.0.0.1, with every message validated against botocore's service model.

Rules that are only in Bedrock's documentation (roles alternate, a tool use is followed by its result, the
input of a tool is an object) are checked as well: emulated from documentation.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from roadmap_content.content.generation.generator import GenerationRequest, generator_named
from roadmap_content.content.generation.prompting import read_draft
from roadmap_content.content.roadmaps.framework import concept_from
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import InvalidContentError
from roadmap_content.contracts.items import ContentType
from tests.support import http_server

CONVERSE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model(
    "Converse"
)
_PREFIX, _SUFFIX = "/model/", "/converse"
_OFFLINE = generator_named("offline")


class Call(NamedTuple):
    """One parsed request: the requested item, and the rejected answer if it is a correction request."""

    concept: str
    """The concept's name."""

    content_type: ContentType
    number: int
    """The number of the call for this item, from 1 on."""

    request: Document

    @property
    def item(self) -> tuple[str, ContentType]:
        return self.concept, self.content_type

    @property
    def data(self) -> Document:
        """The data about the concept and the learner in the prompt."""
        return data_of(self.request["messages"][0]["content"][0]["text"])

    @property
    def fault(self) -> str | None:
        """The fault of the rejected answer; `None` in a first request."""
        if len(self.request["messages"]) == 1:
            return None
        block = self.request["messages"][-1]["content"][0]
        text: str = block["toolResult"]["content"][0]["text"] if "toolResult" in block else block["text"]
        return text


@dataclass(frozen=True)
class Reply:
    """A response: an HTTP status and a body. `late` delays it until the server stops."""

    body: Document | bytes
    status: int = 200
    error: str = ""
    late: bool = False


Behaviour = Callable[[Call], Reply]


def answers(call: Call) -> Reply:
    """A valid answer: content about the concept, in the concept's language."""
    return fills_in(call, valid_output(call))


def valid_output(call: Call) -> Document:
    described = call.data["concept"] | call.data["place_in_the_roadmap"]
    concept = concept_from({"concept_id": call.concept} | described)
    return _OFFLINE.generate(GenerationRequest(concept, call.content_type))


def fills_in(call: Call, output: object, stop: str = "tool_use") -> Reply:
    """An answer that calls the tool with `output`."""
    use = {
        "toolUseId": f"tooluse_{call.number}",
        "name": f"hand_in_{call.content_type}",
        "input": output,
    }
    return _message(call, [{"toolUse": use}], stop)


def says(call: Call, text: str, stop: str = "end_turn") -> Reply:
    """An answer with text instead of a tool call; without text, an empty one."""
    return _message(call, [{"text": text}] if text else [], stop)


def is_cut_off(call: Call) -> Reply:
    """An answer that reached the token limit, with the tool's input written until then."""
    output = valid_output(call)
    return fills_in(call, {key: output[key] for key in list(output)[:-1]}, "max_tokens")


def fails(error: str, message: str = "") -> Reply:
    """An error of Bedrock, by its name in botocore's model."""
    (shape,) = (shape for shape in CONVERSE.error_shapes if shape.name == error)
    return Reply({"message": message or error}, shape.metadata["error"]["httpStatusCode"], error)


class Quota:
    """A behaviour: answers after a model's latency, within quotas of requests and of tokens.

    As Bedrock documents it, a call takes its input and its `maxTokens` when it is admitted. At its end, its
    input and its output replace them. If the quota does not hold the first amount, the call
    is refused immediately, and nothing is charged. Each quota is a token bucket that holds `burst` seconds'
    worth. That is emulated: Bedrock documents its quotas per minute, not how it counts within a minute.
    """

    def __init__(
        self,
        requests_per_second: float,
        tokens_per_second: float,
        latency: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        output: Callable[[Call], int] | None = None,
    ) -> None:
        self._output = output
        self._rates = (requests_per_second, tokens_per_second)
        self._latency = latency
        self._clock, self._sleep = clock, sleep
        self._most = (max(1.0, requests_per_second * burst), tokens_per_second * burst)
        self._left = list(self._most)
        self._at = clock()
        self._lock = threading.Lock()
        self._taken: list[tuple[float, float]] = []
        """When tokens were taken, and how many; negative if they were returned."""

        self._began_at = self._last_start = clock()
        self.admitted = self.throttled = 0

    def __call__(self, call: Call) -> Reply:
        reply = answers(call)
        assert isinstance(reply.body, dict)
        usage = reply.body["usage"]
        if self._output is not None:  # the answer counts as one of this length
            usage["outputTokens"] = self._output(call)
            usage["totalTokens"] = usage["inputTokens"] + usage["outputTokens"]
        taken = usage["inputTokens"] + call.request["inferenceConfig"]["maxTokens"]
        if not self._admit(taken):
            return fails("ThrottlingException", "Too many requests, please wait before trying again.")
        self._sleep(self._latency * random.uniform(0.67, 1.33))  # noqa: S311
        self._end(taken - usage["inputTokens"] - usage["outputTokens"])
        return reply

    def _admit(self, tokens: float) -> bool:
        """Admit a call; `False` if a quota is exhausted."""
        with self._lock:
            now = self._refill()
            if any(left < want for left, want in zip(self._left, (1.0, tokens), strict=True)):
                self.throttled += 1
                return False
            self._left = [left - want for left, want in zip(self._left, (1.0, tokens), strict=True)]
            self._taken.append((now, tokens))
            self._last_start = now
            self.admitted += 1
            return True

    def _end(self, returned: float) -> None:
        with self._lock:
            now = self._refill()
            self._left[1] = min(self._left[1] + returned, self._most[1])
            self._taken.append((now, -returned))

    def _refill(self) -> float:
        now = self._clock()
        for index, rate in enumerate(self._rates):
            self._left[index] = min(self._left[index] + rate * (now - self._at), self._most[index])
        self._at = now
        return now

    @property
    def used(self) -> float:
        """The part of the tokens per minute that calls had taken when the last one started."""
        taken = sum(tokens for at, tokens in self._taken if at <= self._last_start)
        return taken / (self._rates[1] * (self._last_start - self._began_at))


def _message(call: Call, content: Sequence[Document], stop: str) -> Reply:
    return Reply(_answer_with(call.request, content, stop))


def _answer_with(request: Document, content: Sequence[Document], stop: str) -> Document:
    tokens_in = len(json.dumps(request)) // 4
    tokens_out = len(json.dumps(content)) // 4 + 1
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": {
            "inputTokens": tokens_in,
            "outputTokens": tokens_out,
            "totalTokens": tokens_in + tokens_out,
        },
        "metrics": {"latencyMs": 1},
    }


def data_of(user: str) -> Document:
    """The data in a prompt, which must have exactly one start and one end."""
    _, rest = _only_split(user, "<roadmap_data>\n")
    data, _ = _only_split(rest, "\n</roadmap_data>")
    document: Document = json.loads(data)
    return document


def _only_split(text: str, mark: str) -> tuple[str, str]:
    before, after = text.split(mark)
    return before, after


@dataclass
class ConverseServer(http_server.HttpServer):
    """A running server. `behaviour` may be changed at any time; the recorded calls are kept."""

    behaviour: Behaviour = answers
    calls: list[Call] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Violations of the service's rules in requests or responses; must stay empty."""

    usages: list[Document] = field(default_factory=list)
    """The token usage of all answers sent."""

    accepted: Counter[tuple[str, ContentType]] = field(default_factory=Counter)
    """The number of valid answers per item."""

    judge: Callable[[Document], Document] | None = None
    """Answers the requests of a judge: the tool's input for a request."""

    judged: list[Document] = field(default_factory=list)
    """The requests of a judge."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._seen: Counter[tuple[str, ContentType]] = Counter()
        super().__init__(self._answer)

    def settings(self, **changes: str) -> dict[str, str]:
        """The settings of a generator that uses this server, including `AWS_ENDPOINT_URL_…`."""
        return {
            "GENERATOR": "bedrock",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url,
            "MODEL_ID": "test.model-v1:0",
            "MODEL_REGION": "eu-central-1",
            "MODEL_TEMPERATURE": "0.5",
            "MODEL_MAX_OUTPUT_TOKENS": "8000",
            "MODEL_OUTPUT_BURNDOWN": "1",
            "MODEL_TIMEOUT": "20",
            "TASK_TOKEN_BUDGET": "10000000",
            **changes,
        }

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        super().__exit__()

    def _answer(self, request: http_server.Request) -> http_server.Reply | None:
        reply, call = self._reply(request.path, request.body)
        if reply.late:
            self._stopping.wait()
            return None
        self._count(call, reply)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        error = {"x-amzn-ErrorType": reply.error} if reply.error else {}
        return http_server.Reply(reply.status, body, {"Content-Type": "application/json"} | error)

    def _reply(self, path: str, body: bytes) -> tuple[Reply, Call | None]:
        request = json.loads(body)
        model_id = path.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        parameters = {"modelId": model_id, **request}
        faults = faults_of(parameters, CONVERSE.input_shape) or broken_rules(request)
        if faults:
            self.faults += [f"request: {fault}" for fault in faults]
            return fails("ValidationException", "; ".join(faults)), None
        name = request["toolConfig"]["tools"][0]["toolSpec"]["name"]
        if self.judge is not None and not name.startswith("hand_in_"):
            with self._lock:
                self.judged.append(parameters)
            use = {"toolUseId": "tooluse_1", "name": name, "input": self.judge(parameters)}
            return Reply(_answer_with(parameters, [{"toolUse": use}], "tool_use")), None
        content_type = ContentType(name.removeprefix("hand_in_"))
        concept = data_of(request["messages"][0]["content"][0]["text"])["concept"]["name"]
        with self._lock:
            self._seen[concept, content_type] += 1
            call = Call(concept, content_type, self._seen[concept, content_type], parameters)
            self.calls.append(call)
        reply = self.behaviour(call)
        if reply.status == 200 and isinstance(reply.body, dict):
            self.faults += [f"reply: {fault}" for fault in faults_of(reply.body, CONVERSE.output_shape)]
        return reply, call

    def _count(self, call: Call | None, reply: Reply) -> None:
        if call is None or not isinstance(reply.body, dict) or reply.status != 200:
            return
        with self._lock:
            self.usages.append(reply.body["usage"])
            self.accepted[call.item] += is_accepted(call, reply.body)
            self.accepted += Counter()  # drop items without a valid answer


def is_accepted(call: Call, body: Document) -> bool:
    """Whether an answer is complete and valid."""
    if body["stopReason"] != "tool_use":
        return False
    (block,) = body["output"]["message"]["content"]
    try:
        read_draft(call.content_type, block["toolUse"]["input"])
    except InvalidContentError:
        return False
    return True


def faults_of(value: Mapping[str, Any], shape: Shape | None) -> list[str]:
    """The violations of botocore's service model in a message."""
    assert shape is not None
    report = ParamValidator().validate(value, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return found + _outside(value, shape, shape.name)


def _outside(value: Any, shape: Any, path: str) -> list[str]:
    """Values outside the enums of the model, which botocore does not check."""
    if shape.type_name == "structure" and not shape.is_document_type and isinstance(value, dict):
        members = ((key, shape.members[key]) for key in value if key in shape.members)
        return [fault for key, member in members for fault in _outside(value[key], member, f"{path}.{key}")]
    if shape.type_name == "list" and isinstance(value, list):
        return [fault for entry in value for fault in _outside(entry, shape.member, f"{path}[]")]
    if shape.type_name == "string" and shape.enum and value not in shape.enum:
        return [f"{path} is {value!r}"]
    return []


def broken_rules(request: Document) -> list[str]:
    """The violations of the documented rules for conversations."""
    faults = []
    roles = [message["role"] for message in request["messages"]]
    if roles != [("user", "assistant")[index % 2] for index in range(len(roles))] or roles[-1] != "user":
        faults.append(f"turns do not alternate: {roles}")
    open_uses: list[str] = []
    for message in request["messages"]:
        blocks = message["content"]
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        if results != open_uses:
            faults.append(f"tool uses {open_uses} are followed by results {results}")
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        open_uses = [use["toolUseId"] for use in uses]
        faults += [f"toolUse.input is {use['input']!r}" for use in uses if not isinstance(use["input"], dict)]
        if not blocks or any(not block["text"].strip() for block in blocks if "text" in block):
            faults.append("a message or a text is blank")
    tools = [tool["toolSpec"] for tool in request["toolConfig"]["tools"]]
    if request["toolConfig"]["toolChoice"]["tool"]["name"] not in [tool["name"] for tool in tools]:
        faults.append("the chosen tool is none of the tools")
    if any(tool["inputSchema"]["json"].get("type") != "object" for tool in tools):
        faults.append("a tool's schema is not of an object")
    return faults
