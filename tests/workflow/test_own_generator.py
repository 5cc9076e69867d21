"""The generator of `docs/integrating.md`, as printed, on a stack, with a local model and a local search."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from first_day import __main__ as first_day
from first_day.belief import Verdict
from local_stack.builds import REPOSITORY
from roadmap_command.demo import SAMPLE, with_offline_content
from roadmap_command.target import Target
from roadmap_content.content.bundle import parse_bundle
from roadmap_content.contracts.items import ContentType, Item
from tests.support.http_server import HttpServer, Reply, Request, json_reply
from tests.support.machine import Machine
from tests.support.stacks import temporary_stack

DOCUMENT = (REPOSITORY / "docs/integrating.md").read_text()
CURRICULA = sorted((REPOSITORY.parent / "shared/data").glob("iot-for-beginners.*.json"))
MISSING = 3
INVENTED = "https://invented.example/lesson"


class World:
    """LiteLLM's interface, and a search. The model names an index that is none, and a URL of its own."""

    def __init__(self) -> None:
        self.candidates: set[str] = set()
        self.throttled = 0
        self.keys: set[str | None] = set()

    def __call__(self, request: Request) -> Reply:
        document = json.loads(request.body)
        self.keys.add(request.headers["Authorization"])
        if request.path == "/search":
            return json_reply({"results": [self._found(document["query"], n) for n in range(4)]})
        assert request.path == "/chat/completions"
        if not self.throttled:
            self.throttled += 1
            return json_reply({}, 429, Retry_After="1")
        system, user = (message["content"] for message in document["messages"])
        usage = {"prompt_tokens": 700, "completion_tokens": 80}
        message = {"content": json.dumps(self._answer(system, json.loads(user)), ensure_ascii=False)}
        return json_reply({"model": "local/model", "usage": usage, "choices": [{"message": message}]})

    def _found(self, query: str, number: int) -> dict[str, Any]:
        url = f"https://found.example/{abs(hash(query))}/{number}"
        self.candidates.add(url)
        found = {"title": f"About {query}", "url": url, "content": "A text.", "score": 0.9 - number / 10}
        return found | {"published_date": "2026-03-01"}

    def _answer(self, system: str, data: dict[str, Any]) -> dict[str, Any]:
        name = data["concept"]["name"]
        if "candidates" in data:
            return {"chosen": [2, 99, INVENTED, 0, 2, -1, True], "resources": [{"url": INVENTED}]}
        if "lesson" in system:
            text = f"# {name}\n\nText."
            return {"title": name, "summary": name, "markdown": text, "estimated_completion_time": 9}
        question = {"question_id": "q1", "question_type": "true_false", "question": f"Is it {name}?"}
        answer = {
            "options": ["Yes", "No"],
            "correct_answer": [0],
            "explanation": "It is.",
            "difficulty": "easy",
        }
        return {"questions": [question | answer]}


@pytest.fixture
def world() -> Iterator[tuple[World, str]]:
    """The services, and their address."""
    world = World()
    with HttpServer(world) as server:
        yield world, server.url


def test_the_documented_generator_heals_what_is_missing(
    world: tuple[World, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, url = world
    (source,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
        if "def generate(event)" in block
    )
    file = tmp_path / "writer.py"
    file.write_text(source)
    for service in ("LITELLM", "SEARCH"):
        monkeypatch.setenv(f"{service}_URL", url)
        monkeypatch.setenv(f"{service}_KEY", "a-key")
    monkeypatch.setenv("LITELLM_MODEL", "any")
    with temporary_stack(generator=file) as stack:
        target = Target.local(stack)
        for bundle in courses():
            heal(Machine(stack, target), bundle, services)
        trial = first_day.tried(
            first_day.BY_NAME["generator"], first_day.on_local_stack(stack, tmp_path / "todo")
        )
        assert trial.verdict is Verdict.HELD, trial
        target.engine.dispose()
    assert services.throttled == 1
    assert services.keys == {"Bearer a-key"}


def courses() -> Iterator[dict[str, Any]]:
    """The sample, and the courses that people wrote beside the repository."""
    sample = parse_bundle(SAMPLE.read_bytes())
    yield with_offline_content({"roadmap": sample.roadmap.model_dump(), "task": sample.task.model_dump()})
    for path in CURRICULA:
        yield json.loads(path.read_bytes())


def heal(machine: Machine, bundle: dict[str, Any], services: World) -> None:
    """Run a course without three items of each type."""
    missing = {
        Item(entry["concept_id"], kind)
        for number, kind in enumerate(ContentType)
        for entry in bundle["content"][number : number + MISSING]
    }
    for entry in bundle["content"]:
        for kind in ContentType:
            if Item(entry["concept_id"], kind) in missing:
                del entry[kind]
    machine.load_bundle(bundle)
    assert machine.run()["status"] == "SUCCEEDED"
    machine.require_invariants()
    of_course = f"WHERE roadmap_id = '{machine.roadmap_id}'"
    origins = machine.rows(
        "SELECT concept_id, content_type, model_id, prompt_version, tokens_in, tokens_out"
        f" FROM content_origins {of_course} AND generator = 'function'"
    )
    assert {Item(row["concept_id"], ContentType(row["content_type"])) for row in origins} == missing
    how = {tuple(row.values())[2:] for row in map(dict, origins)}
    assert how == {("local/model", "lessons@1", 700, 80)}
    for row in machine.rows(
        f"SELECT concept_id, resources FROM resource_recommendation_metadata {of_course}"
    ):
        if Item(row["concept_id"], ContentType.RESOURCES) in missing:
            found = [each["url"] for each in row["resources"]]
            assert [url[-1] for url in found] == ["2", "0"]
            assert services.candidates >= set(found)
            assert {each["published_date"] for each in row["resources"]} == {"2026-03-01"}
