"""Retry and status over HTTP, against the real state machine."""

import base64
import hmac
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from local_stack.tokens import sign_token
from roadmap_command.api_client import Answer, Api
from roadmap_content.items import ContentType, Item
from tests.support.factories import USER, bundle_of, quiz
from tests.support.machine import Machine


def load_the_report(machine: Machine) -> tuple[list[str], list[dict[str, Any]]]:
    """The state of the bug report; return the concept ids and the saved tutorials."""
    ids = machine.concept_ids(30)
    bundle = bundle_of(ids, roadmap_id=machine.roadmap_id, task_id=machine.task_id)
    for entry in bundle["content"][20:]:
        del entry["quiz"]
    machine.load_bundle(bundle)
    machine.execute(
        "INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, content_status,"
        " content_version, is_latest)"
        " SELECT concept_id, concept_id, :roadmap_id, 'saved before', 'completed', 1, true"
        " FROM json_array_elements_text(CAST(:ids AS json)) AS concept_id",
        roadmap_id=machine.roadmap_id,
        ids=json.dumps(ids[:15]),
    )
    machine.execute(
        "UPDATE roadmap_tasks SET status = 'failed', failed_concepts = NULL,"
        " error_message = 'duplicate key value violates unique constraint' WHERE task_id = :id",
        id=machine.task_id,
    )
    return ids, saved_tutorials(machine, ids[:15])


def saved_tutorials(machine: Machine, ids: list[str]) -> list[dict[str, Any]]:
    rows = machine.rows(
        "SELECT * FROM tutorial_metadata WHERE roadmap_id = :id ORDER BY concept_id", id=machine.roadmap_id
    )
    return [row for row in rows if row["concept_id"] in ids]


def test_one_retry_repairs_the_state_of_the_bug_report(machine: Machine, api: Api) -> None:
    ids, before = load_the_report(machine)
    answer = api.retry(machine.task_id)
    assert answer.status == 202
    assert answer.body == {
        "success": True,
        "recovery_type": "content_retry",
        "task_id": machine.task_id,
        "roadmap_id": machine.roadmap_id,
        "status": "processing",
        "items_to_retry": {"tutorial": 15, "resources": 30, "quiz": 30},
        "total_items": 75,
        "attempt": 1,
        "execution_arn": answer.body["execution_arn"],
        "message": answer.body["message"],
    }
    name = answer.body["execution_arn"].rpartition(":")[2]
    assert re.fullmatch(rf"{machine.task_id}-r1-[0-9a-f]{{8}}", name), name
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"

    assert saved_tutorials(machine, ids[:15]) == before
    status = api.get(machine.task_id)
    assert (status.status, status.body["status"]) == (200, "completed")
    complete = {"total": 30, "saved": 30, "missing": 0}
    assert status.body["progress"] == {
        "tutorial": complete | {"generated": 0},
        "resources": complete | {"generated": 0},
        "quiz": complete | {"generated": 10},  # the items that were not staged
    }
    concepts = [
        concept
        for stage in machine.framework()["stages"]
        for module in stage["modules"]
        for concept in module["concepts"]
    ]
    assert all(concept[key] for concept in concepts for key in ("tutorial_id", "resources_id", "quiz_id"))
    generated = machine.rows(
        "SELECT concept_id FROM quiz_metadata WHERE roadmap_id = :id AND total_questions = 4",
        id=machine.roadmap_id,
    )
    assert sorted(row["concept_id"] for row in generated) == sorted(
        ids[20:]
    )  # only the items that were not staged
    assert api.retry(machine.task_id).body["message"] == "None of the requested items is missing"


def test_two_simultaneous_retries_start_one_attempt(machine: Machine, api: Api) -> None:
    machine.load(6)
    api.get(machine.task_id)  # so that both requests meet a warm function
    with machine.holding() as held:
        ready = threading.Barrier(2, timeout=600)

        def click(_: int) -> Answer:
            ready.wait()
            return api.retry(machine.task_id)

        with ThreadPoolExecutor(2) as pool:
            won, lost = sorted(pool.map(click, range(2)))
        assert (won.status, lost.status) == (202, 409)
        assert (won.body["attempt"], lost.body["attempt"], lost.body["error"]) == (1, 1, "ClaimRefused")
        assert becomes_true(lambda: bool(processes_waiting_for(held)), 600)
        while_running = api.retry(machine.task_id)
        assert (while_running.status, while_running.body["attempt"]) == (409, 1)
        assert api.get(machine.task_id).body["status"] == "processing"
    assert machine.wait(won.body["execution_arn"])["status"] == "SUCCEEDED"
    machine.require_invariants()


def test_the_status_lists_failed_items_with_their_reasons(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    machine.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1], note="\x00")).encode())
    machine.run()
    body = api.get(machine.task_id).body
    assert set(body) == {
        "task_id", "roadmap_id", "status", "current_step", "attempt", "execution_arn", "progress",
        "failed_items", "error_message", "updated_at", "completed_at", "title", "created_at", "user_id",
        "live", "execution_url", "actions", "tokens",
    }  # fmt: skip
    assert body["failed_items"] == [
        {
            "concept_id": ids[1],
            "content_type": "quiz",
            "stage": "save",
            "error_code": "InvalidContent",
            "reason": "note holds a NUL character at character 0",
        }
    ]
    answer = api.retry(machine.task_id)
    assert (answer.status, answer.body["items_to_retry"]) == (202, {"tutorial": 0, "resources": 0, "quiz": 1})
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"


def test_a_stopped_execution_is_recorded_by_its_event_and_completed_by_one_retry(
    machine: Machine, api: Api
) -> None:
    ids = machine.load(3)
    machine.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1], note="\x00")).encode())
    with machine.holding() as held:
        arn = machine.start()
        assert becomes_true(lambda: bool(processes_waiting_for(held)), 600)
        machine.await_all_but_quizzes(3)
        machine.client.stop_execution(executionArn=arn)
        assert becomes_true(lambda: machine.status().status != "processing", 600)
        stopped = machine.status()
    assert (stopped.status, stopped.error_message) == (
        "partial_failure",
        "ABORTED: the execution ended ABORTED",
    )
    answer = api.retry(machine.task_id)
    assert answer.status == 202
    assert answer.body["items_to_retry"]["quiz"] >= 1
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"
    machine.require_invariants()


def test_items_that_are_saved_after_the_end_of_the_execution_are_reported_by_a_retry(
    machine: Machine, api: Api
) -> None:
    machine.load(3)
    with machine.holding() as held:
        arn = machine.start()
        assert becomes_true(lambda: bool(processes_waiting_for(held)), 600)
        machine.await_all_but_quizzes(3)
        machine.client.stop_execution(executionArn=arn)
        assert becomes_true(lambda: machine.status().status != "processing", 600)
    assert becomes_true(lambda: machine.status().progress[ContentType.QUIZ].saved == 3, 600)
    assert machine.status().status == "partial_failure"
    answer = api.retry(machine.task_id)
    assert (answer.status, answer.body["status"]) == (200, "completed")
    assert (machine.status().status, machine.status().attempt) == ("completed", 1)
    machine.require_invariants()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unauthorized_requests_are_refused_without_reading_a_row(machine: Machine, method: str) -> None:
    machine.load(1)
    stack, owner, intruder = machine.stack, machine.api(), machine.api("intruder")
    path = f"/api/v1/tasks/{machine.task_id}" + ("/retry" if method == "POST" else "")

    def signed(secret: str = stack.token_secret, **claims: Any) -> str:
        valid = {"user_id": USER, "issuer": "https://local.example", "audience": "roadmap-content"}
        return sign_token(secret, **valid | claims)

    def refused(
        status: int, api: Api = owner, *, path: str = path, user_id: str | None = None, **request: Any
    ) -> None:
        query = {"user_id": api.user_id if user_id is None else user_id}
        answer = api.request(method, path, query, **request)
        assert answer.status == status, (query, request, answer)
        assert machine.roadmap_id not in str(answer.body)

    # A request that reads a row of the task would wait for this lock and not get this answer.
    with machine.locking("roadmap_tasks"):
        refused(401, token="")
        refused(401, token="no-token")
        refused(401, token=signed(lifetime_seconds=-60))
        refused(401, token=signed(audience="another"))
        refused(401, token=signed(issuer="https://another"))
        refused(401, token=signed("x" * 48))
        refused(401, token=unsigned(signed()))
        refused(401, token=signed_with_a_public_key(signed()))
        refused(403, intruder, user_id=USER)
        refused(403, user_id="intruder")
        refused(403, user_id="' OR '1'='1")
        refused(422, user_id="")
        refused(422, user_id="a\x00b")
        refused(422, path=path.replace(machine.task_id, quote("' OR '1'='1")))
        refused(422, path=path.replace(machine.task_id, "x" * 65))
    refused(404, intruder)  # an existing task of another user
    refused(404, intruder, body=b"x" * 1_000_000)
    refused(404, path=path.replace(machine.task_id, "8c5e2f1e-0000-4000-8000-000000000000"))
    assert machine.status().attempt == 0


def unsigned(token: str) -> str:
    """The token's claims in a token with the algorithm `none`."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def signed_with_a_public_key(token: str) -> str:
    """The token's claims, signed with the issuer's public key as an HMAC secret."""
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = token.rpartition(".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(pem, signed.encode(), "sha256")).rstrip(b"=").decode()
    return f"{signed}.{signature}"
