"""The product's page, from another origin in a real Chromium, reads every kind of answer."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from local_stack.builds import REPOSITORY
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.target import Target
from roadmap_content.content.bundle import read_bundle
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from tests.browser.driver import DEADLINE_MS
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.http_api import Api
from tests.support.http_server import HttpServer, Reply, Request
from tests.support.stacks import temporary_stack

pytestmark = pytest.mark.nightly

ASK = """
async ([url, method, token]) => {
  const headers = {"Content-Type": "application/json", "X-Trace-ID": "trace-1", "X-User-ID": "user-1"};
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    const answer = await fetch(url, {method, headers});
    return {status: answer.status, body: await answer.json(), retryAfter: answer.headers.get("Retry-After")};
  } catch (error) {
    return {status: 0, body: String(error)};
  }
}
"""
"""A request as the product's client sends it; status 0: the browser did not let the page read the answer."""


(FILLING_PAGE,) = re.findall(
    r"^```html\n(.*?)^```$", (REPOSITORY / "docs/integrating.md").read_text(), re.MULTILINE | re.DOTALL
)
PAGES = {"/": "<!doctype html><title>The product</title>", "/filling": FILLING_PAGE}


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """The origin of the product's pages."""

    def page(request: Request) -> Reply:
        if request.path == "/markdown-it.js":
            script = REPOSITORY / "console/vendor/markdown-it.js"
            return Reply(body=script.read_bytes(), headers={"Content-Type": "text/javascript"})
        return Reply(body=PAGES.get(request.path, "").encode(), headers={"Content-Type": "text/html"})

    with HttpServer(page) as server:
        yield server.url


@pytest.fixture(scope="module")
def beside(origin: str) -> Iterator[LocalStack]:
    """A stack of its own: the test breaks a function of it."""
    with temporary_stack({"CorsOrigins": origin}) as stack:
        yield stack


@pytest.fixture(scope="module")
def target(beside: LocalStack) -> Iterator[Target]:
    target = Target.local(beside)
    yield target
    target.engine.dispose()


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto(origin)
    yield page
    context.close()


def test_the_page_of_the_document_fills_itself(
    page: Page, beside: LocalStack, target: Target, origin: str
) -> None:
    ids = concept_ids(3, "r-2")
    bundle = bundle_of(ids, roadmap_id="r-2", task_id="t-2")
    bundle["content"][0]["tutorial"]["markdown"] += "\n\n<img src=x onerror='window.owned = true'>\n"
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(600))
    quiz = bundle["content"][0]["quiz"]
    with target.engine.begin() as connection:  # the product has saved one item, which no event announces
        connection.execute(
            text(
                "INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions,"
                " easy_count, medium_count, hard_count, generated_at)"
                " VALUES (:id, :concept, 'r-2', CAST(:questions AS json), :total, 1, 0, 0, now())"
            ),
            {
                "id": quiz["quiz_id"],
                "concept": ids[0],
                "questions": json.dumps(quiz["questions"]),
                "total": quiz["total_questions"],
            },
        )
    settings = urlencode({"api": beside.api_url, "task": "t-2", "token": beside.token(USER)})
    page.goto(f"{origin}/filling#{settings}")
    assert Api.of(target, USER).retry("t-2").status == 202
    expect(page).to_have_title("completed")
    lines = page.locator("#lessons > li").all_text_contents()
    assert lines == [f"Concept {number} {''.join(ContentType)}" for number in (1, 2, 3)]
    assert page.locator("#lessons button:enabled").count() == 3 * len(ContentType)
    page.locator("#lessons button").first.click()
    expect(page.locator("#lesson")).to_contain_text("an emoji 🙂")
    expect(page.locator("#lesson > h1")).to_have_count(1)
    assert page.evaluate("window.owned") is None, "HTML in a lesson stays text"
    expect(page.locator("#note")).to_be_empty()


def test_the_page_of_the_document_shows_its_reader_what_goes_wrong(
    page: Page, beside: LocalStack, target: Target, origin: str
) -> None:
    ids = concept_ids(2, "r-3")
    bundle = bundle_of(ids, roadmap_id="r-3", task_id="t-3")
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(600))
    taken = {"tutorial_id": bundle["content"][0]["tutorial"]["tutorial_id"]}
    target.bucket.put(
        staged_key("r-3", Item(ids[1], ContentType.TUTORIAL)),
        json.dumps(bundle["content"][1]["tutorial"] | taken).encode(),
    )
    settings = {"api": beside.api_url, "task": "t-3", "token": beside.token(USER)}
    note = page.locator("#note")

    page.goto(f"{origin}/filling#{urlencode(settings | {'token': settings['token'][:-4] + 'AAAA'})}")
    expect(note).to_have_text("Your sign-in has expired. Sign in again.")

    page.goto("about:blank")
    page.route(f"{beside.api_url}/**", lambda route: route.abort())
    page.goto(f"{origin}/filling#{urlencode(settings)}")
    expect(note).to_have_text("The lessons cannot be reached. Trying again …")
    page.unroute_all()

    assert Api.of(target, USER).retry("t-3").status == 202
    expect(page).to_have_title("partial_failure")
    expect(note).to_have_text("Some lessons are missing. The next attempt makes them.")
    expect(page.locator("#lessons")).to_contain_text("Concept 2 tutorial: not available yet")
    expect(page.locator("#lessons > li")).to_have_count(2)


def test_the_product_s_page_reads_answers_refusals_and_errors(
    page: Page, beside: LocalStack, target: Target, origin: str
) -> None:
    bundle = bundle_of(concept_ids(1, "r-1"), roadmap_id="r-1", task_id="t-1") | {"content": []}
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(600))
    token, operator = beside.token(USER), beside.token(USER, "content:operate")

    def ask(method: str, path: str, token: str | None = token) -> dict[str, Any]:
        answer: dict[str, Any] = page.evaluate(ASK, [f"{beside.api_url}{path}", method, token])
        return answer

    missing = ask("POST", f"/api/v1/tasks/none/retry?user_id={USER}")
    assert (missing["status"], missing["body"]["error"]) == (404, "TaskNotFound")
    assert ask("GET", "/api/v1/health")["status"] == 403
    assert ask("GET", "/api/v1/recoveries", operator)["status"] == 200
    assert ask("GET", "/api/v1/tasks?limit=0")["status"] == 422
    started = ask("POST", f"/api/v1/tasks/t-1/retry?user_id={USER}&force_checkpoint=false")
    assert (started["status"], started["body"]["attempt"]) == (202, 1)

    # Refused by API Gateway itself.
    assert ask("GET", "/api/v1/tasks", token[:-4] + "AAAA")["status"] == 401
    assert ask("GET", "/api/v1/tasks", None)["status"] == 401
    _refuse_all(beside, "/~1api~1v1~1me/GET")
    assert ask("GET", "/api/v1/me")["status"] == 429
    _delete_operator_api(beside)
    assert ask("GET", "/api/v1/recoveries", operator)["status"] >= 500

    page.goto(origin.replace("127.0.0.1", "localhost"))
    assert ask("GET", "/api/v1/tasks")["status"] == 0, "an origin that is not configured"


def test_ten_users_open_the_console_at_once(beside: LocalStack) -> None:
    page = f"{beside.api_url}/console/"
    with urlopen(page) as answer:
        (app,) = re.findall(r'src="(\w+/app\.js)"', answer.read().decode())

    def get(_: int) -> int:
        with urlopen(page + app) as answer:
            return int(answer.status)

    # More than the limit of all other requests, and fewer than the limit of the console's files.
    with ThreadPoolExecutor(16) as users:
        assert set(users.map(get, range(150))) == {200}


def _refuse_all(stack: LocalStack, method: str) -> None:
    """Lower the limit of requests of one method to zero."""
    gateway = stack.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    gateway.update_stage(
        restApiId=api["id"],
        stageName="live",
        patchOperations=[
            {"op": "replace", "path": f"{method}/throttling/{limit}", "value": "0"}
            for limit in ("rateLimit", "burstLimit")
        ],
    )


def _delete_operator_api(stack: LocalStack) -> None:
    functions = stack.client("lambda")
    (name,) = (
        each["FunctionName"]
        for each in functions.list_functions()["Functions"]
        if "OperatorApi" in each["FunctionName"]
    )
    functions.delete_function(FunctionName=name)
