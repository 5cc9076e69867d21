"""Hostile requests over HTTP: no server errors of ours, no rows of other users, and no secrets in the logs.

API Gateway is ministack's; the authorizer, the API function and PostgreSQL are real. The functions' logs show
whether a 5xx came from a function, because functions log every error.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.stack import LocalStack
from local_stack.tokens import sign_token
from roadmap_command.target import Target
from tests.support.evidence import Log
from tests.support.factories import USER, bundle_of
from tests.support.machine import Machine
from tests.support.oracle import Oracle
from tests.support.stacks import temporary_stack

SEED = int(os.environ.get("FAULTS_SEED", "1"))
NEIGHBOUR = "somebody else"
CONFIDENTIAL = "CONFIDENTIAL"
"""A mark that occurs only in content."""

SECONDS = 12
"""Time limit of schemathesis for each of two users."""


@dataclass
class Ground:
    """The test bed: a task of ours with a missing item, and a task of another user."""

    stack: LocalStack
    mine: Machine
    theirs: Machine
    oracle: Oracle
    secrets: set[str] = field(default_factory=set)
    """Values that must never be disclosed: the signing secret, the database password, and every token sent.
    """

    def sign(self, user_id: str) -> str:
        """Sign a token as the issuer would."""
        token = sign_token(
            self.stack.token_secret,
            user_id=user_id,
            issuer="https://local.example",
            audience="roadmap-content",
        )
        self.secrets.add(token)
        return token

    def logs(self) -> str:
        """All logs of the functions and of the API so far."""
        client = self.stack.client("logs")
        groups = client.get_paginator("describe_log_groups").paginate().search("logGroups[].logGroupName")
        events = client.get_paginator("filter_log_events")
        return "\n".join(
            message
            for group in groups
            for message in events.paginate(logGroupName=group).search("events[].message")
        )

    def require_unharmed(self) -> None:
        """Check the invariants and the logs after hostile requests."""
        self.oracle.require(self.oracle.at_any_time())
        said = self.logs()
        assert "request_refused" in said, "the functions' logs were not found"
        assert not [secret for secret in self.secrets if secret in said]
        assert CONFIDENTIAL not in said
        # These two errors are raised on purpose: an incomplete run, and an invalid token.
        unexpected = re.compile(
            r'^\[ERROR\] (?!ContentIncomplete|UnauthorizedError).*|.*"level":"ERROR".*', re.MULTILINE
        )
        assert not unexpected.findall(said)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A separate stack without throttling, which would hide the behaviour behind it."""
    with temporary_stack({"ApiRequestsPerSecond": "1000000"}) as stack:
        target = Target.local(stack)
        mine, theirs = Machine(stack, target), Machine(stack, target)
        for machine, user_id in ((mine, USER), (theirs, NEIGHBOUR)):
            machine.load_bundle(_bundle(machine, user_id))
            assert machine.run()["error"] == "ContentIncomplete"
        oracle = Oracle(target.engine, stack.client("s3"), stack.bucket, mine.bundle, Log())
        password = make_url(stack.database_url).password
        assert password
        yield Ground(stack, mine, theirs, oracle, {stack.token_secret, password})
        target.engine.dispose()


def _bundle(machine: Machine, user_id: str) -> dict[str, Any]:
    """Marked content; one quiz cannot be saved."""
    ids = machine.concept_ids(2)
    bundle = bundle_of(ids, roadmap_id=machine.roadmap_id, task_id=machine.task_id, user_id=user_id)
    for entry in bundle["content"]:
        entry["tutorial"] |= {"title": CONFIDENTIAL, "summary": CONFIDENTIAL, "markdown": CONFIDENTIAL}
        entry["resources"]["resources"][0]["title"] = CONFIDENTIAL
        entry["quiz"]["questions"][0]["question"] = CONFIDENTIAL
    bundle["content"][0]["quiz"]["quiz_id"] = bundle["content"][1]["quiz"]["quiz_id"]
    return bundle


def require_nothing_disclosed(ground: Ground, answer: str, *, is_own_content: bool = False) -> None:
    """Check that a response discloses nothing about the other user, the code or content."""
    for disclosed in (ground.theirs.roadmap_id, "Traceback", 'File "', *ground.secrets):
        assert disclosed not in answer
    assert is_own_content or CONFIDENTIAL not in answer


@pytest.mark.parametrize("user_id", [USER, "a stranger"])
def test_requests_generated_from_the_openapi_document(ground: Ground, tmp_path: Path, user_id: str) -> None:
    document = json.loads((REPOSITORY / "docs/openapi.json").read_text())
    known = {
        "path_task_id": [ground.mine.task_id, ground.theirs.task_id],
        "query_user_id": [USER, NEIGHBOUR, user_id],
    }
    for name, values in known.items():
        examples = {str(number): {"value": value} for number, value in enumerate(values)}
        document["components"]["parameters"][name]["examples"] = examples
    (tmp_path / "openapi.json").write_text(json.dumps(document))

    ended = subprocess.run(
        [
            *(environment_python("checks"), "-m", "schemathesis.cli", "run", "openapi.json"),
            *("--url", ground.stack.api_url, "--header", f"Authorization: Bearer {ground.sign(user_id)}"),
            *("--seed", str(SEED), "--max-time", str(SECONDS), "--phases", "examples,coverage,fuzzing"),
            *("--checks", "not_a_server_error,response_schema_conformance,ignored_auth"),
            *("--report-vcr-path", "answers.yaml", "--continue-on-failure"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert ended.returncode == 0, ended.stdout
    answers = yaml.load((tmp_path / "answers.yaml").read_text(), Loader=yaml.CSafeLoader)
    answered = [entry for entry in answers["http_interactions"] if entry.get("response")]
    assert answered
    own_content = f"/tasks/{ground.mine.task_id}/content/"
    for entry in answered:
        is_own_content = user_id == USER and own_content in entry["request"]["uri"]
        require_nothing_disclosed(ground, json.dumps(entry["response"]), is_own_content=is_own_content)
    ground.require_unharmed()
