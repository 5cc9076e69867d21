"""The deployed stack with the product's bucket, tokens, pages and cancelling, over real HTTP."""

import json
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jwt
import pytest
from sqlalchemy import text

from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_content.api.client import Client
from roadmap_content.content.bundle import read_bundle
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import product_text_key, text_key
from tests.support.factories import USER, bundle_of, concept_ids, counts, quiz

BUCKET, PAGE = "products-own", "https://learn.example"
OPERATOR = "u-operator"
THEIR_RULE = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
PARAMETERS = {
    "ContentBucketName": BUCKET,
    "CorsOrigins": PAGE,
    "JwtIssuer": "none",
    "JwtAudience": "api,learning-app",
    "OperatorSubjects": f"somebody,{OPERATOR}",
    "TenantClaim": "org",
}


class Reply(NamedTuple):
    """An HTTP response. The names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: Any


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-beside-") as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.delenv("DATABASE_URL", raising=False)
        with LocalStack.start(Path(directory), parameters=PARAMETERS, wait_scale=0.01, fsync=False) as stack:
            s3 = stack.client("s3")
            assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["artifacts"]
            s3.create_bucket(Bucket=BUCKET)
            s3.put_bucket_lifecycle_configuration(
                Bucket=BUCKET, LifecycleConfiguration={"Rules": [THEIR_RULE]}
            )
            yield stack


@pytest.fixture(scope="module")
def target(stack: LocalStack) -> Iterator[Target]:
    target = Target.local(stack)
    yield target
    target.engine.dispose()


def load(target: Target, name: str, concepts: int) -> list[str]:
    """A task whose content is not generated yet; return the concept ids."""
    ids = concept_ids(concepts, f"r-{name}")
    bundle = bundle_of(ids, roadmap_id=f"r-{name}", task_id=f"t-{name}") | {"content": []}
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(600))
    return ids


def their_token(stack: LocalStack, **claims: Any) -> str:
    """A token of the product: a shared secret, a list of audiences, no issuer."""
    now = int(time.time())
    own = {"sub": USER, "aud": ["learning-app"], "exp": now + 600}
    return jwt.encode(own | claims, stack.token_secret, algorithm="HS256")


def send(
    stack: LocalStack, method: str, path: str, *, token: str | None, origin: str | None = PAGE, **query: str
) -> Reply:
    """A request as the product's front end sends it."""
    request = urllib.request.Request(f"{stack.api_url}{path}?{urlencode(query)}", method=method)
    if origin is not None:
        request.add_header("Origin", origin)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            status, headers, body = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, headers, body = error.code, error.headers, error.read()
    found = {name.lower(): value for name, value in headers.items()}
    return Reply(status, found, json.loads(body) if body else None)


def test_the_content_bucket_is_the_product_s_own(stack: LocalStack, target: Target) -> None:
    ids = load(target, "bucket", 3)
    s3 = stack.client("s3")
    paid = product_text_key("r-bucket", ids[0], 1)
    s3.put_object(Bucket=BUCKET, Key=paid, Body=b"# Paid\n\nFor.")

    arn = start_run(target.stepfunctions, target.state_machine_arn, "t-bucket")
    assert follow_run(target.stepfunctions, arn, lambda: None) == "SUCCEEDED"

    with target.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT content_url, title FROM tutorial_metadata WHERE roadmap_id = 'r-bucket'")
        ).all()
    titles = {row.content_url: row.title for row in rows}
    assert titles[text_key("r-bucket", ids[0], b"# Paid\n\nFor.")] == "Paid"
    assert len(titles) == len(ids)
    for url in titles:
        s3.head_object(Bucket=BUCKET, Key=url)
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["ID"] == "theirs"


def test_a_running_task_is_cancelled_and_retried(stack: LocalStack, target: Target) -> None:
    load(target, "cancel", 150)
    token, path = their_token(stack), "/api/v1/tasks/t-cancel"
    started = send(stack, "POST", f"{path}/retry", token=token, user_id=USER)
    assert started.status == 202

    cancelled = send(stack, "POST", f"{path}/cancel", token=token, user_id=USER, reason="too long")

    assert cancelled.status == 200
    assert cancelled.body["stopped_execution"] == started.body["execution_arn"]

    def status_of_execution() -> str:
        described = target.stepfunctions.describe_execution(executionArn=started.body["execution_arn"])
        return str(described["status"])

    assert becomes_true(lambda: status_of_execution() == "ABORTED", 600)

    def is_recorded() -> bool:
        newest = send(stack, "GET", f"{path}/attempts", token=token, user_id=USER).body["items"][0]
        return bool(newest["outcome"] == "cancelled")

    assert becomes_true(is_recorded, 600), "the attempt's end is not recorded"
    task = send(stack, "GET", path, token=token, user_id=USER).body
    assert (task["status"], task["error_message"]) == ("cancelled", f"Cancelled by user:{USER}: too long")
    assert (task["actions"]["retry"], task["actions"]["cancel"]) == (True, False)
    assert sum(progress["missing"] for progress in task["progress"].values()) > 0

    again = send(stack, "POST", f"{path}/retry", token=token, user_id=USER)
    assert again.status == 202
    assert follow_run(target.stepfunctions, again.body["execution_arn"], lambda: None) == "SUCCEEDED"
    assert send(stack, "GET", path, token=token, user_id=USER).body["status"] == "completed"


def test_a_product_replaces_an_item_with_its_own(stack: LocalStack, target: Target) -> None:
    (concept_id,) = load(target, "replace", 1)
    client = Client(
        bucket=BUCKET,
        state_machine_arn=target.state_machine_arn,
        api_url=stack.api_url,
        token=lambda _: their_token(stack),
        s3=stack.client("s3"),
        stepfunctions=target.stepfunctions,
    )

    def current_quiz() -> str:
        item = send(
            stack, "GET", "/api/v1/tasks/t-replace/items/quiz", token=their_token(stack),
            concept_id=concept_id, user_id=USER,
        ).body  # fmt: skip
        return str(item["saved"]["id"])

    assert follow_run(target.stepfunctions, client.start("t-replace"), lambda: None) == "SUCCEEDED"
    before = current_quiz()

    client.stage("r-replace", concept_id, "quiz", quiz(concept_id, quiz_id="theirs"), replaces=before)
    answer = client.retry("t-replace", USER, concept_id=concept_id, content_type="quiz", regenerate=True)
    assert answer.total_items == 1
    assert follow_run(target.stepfunctions, answer.execution_arn or "", lambda: None) == "SUCCEEDED"

    assert current_quiz() == "theirs" != before
    (newest, *_) = send(
        stack, "GET", "/api/v1/tasks/t-replace/attempts", token=their_token(stack), user_id=USER
    ).body["items"]
    assert newest["generated"] == counts()
    assert newest["saved"] == counts(quiz=1)
