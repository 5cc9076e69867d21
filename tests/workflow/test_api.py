"""Retry and status over HTTP, against the real state machine."""

import base64
import hmac
import json
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local_stack.tokens import sign_token
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import USER, counts, quiz
from tests.support.http_api import Api
from tests.support.machine import Machine


def test_the_status_lists_failed_items_with_their_reasons(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    machine.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1], note="\x00")).encode())
    machine.run()
    body = api.get(machine.task_id).body
    assert set(body) == {
        "task_id", "roadmap_id", "status", "current_step", "attempt", "execution_arn", "progress",
        "failed_items", "error_message", "updated_at", "completed_at", "title", "created_at", "user_id",
        "live", "execution_url", "actions", "tokens", "queue", "generation_stopped", "erased",
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
    assert (answer.status, answer.body["items_to_retry"]) == (202, counts(quiz=1))
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"


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
