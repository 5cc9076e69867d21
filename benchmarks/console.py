"""`python -m benchmarks.console`: the size of the console, and the time of its first view over many tasks.

A real Chromium loads the page from the console's function; the API's function answers from PostgreSQL.
"""

import gzip
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Request, sync_playwright
from sqlalchemy import text

from checks.console.machine import chromium
from functions.console import app as console
from functions.task_api import app as task_api
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from roadmap_content.platform.runtime.log import logger

from .database import Database, own_database
from .measuring import in_turn
from .report import arguments_of, finish
from .result import Figure, Result, Series, Target, versions

SIZES = (10, 1_000_000)
ROUNDS = 7
FIRST_VIEW_KB = 100.0
DRAWN_LIMIT = 2.0
DEADLINE_MS = 120_000

ABOUT = """
*Drawn*: from the navigation to the first rows of the list of tasks, in a new browser context (without a
cache), on an embedded PostgreSQL with the given number of tasks. The function of the console serves the
page, and the function of the API the data, both in the process of the benchmark, over HTTP on this machine.
The sizes are those of gzip for the responses that API Gateway would compress (`MinimumCompressionSize`).
This compression is emulated from documentation.
"""

# The token is not verified, because this server has no authorizer.
TOKEN = "e30.e30.e30"  # noqa: S105

WATCH = """
new MutationObserver((_, observer) => {
    if (!document.querySelector("tbody tr")) return;
    window.drawn = performance.now();
    observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""

STOCK = (
    text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data)
SELECT 'roadmap-' || n, 'user-' || mod(n, 100), 'Roadmap ' || n, '{}' FROM generate_series(1, 1000) AS n
"""),
    text("""
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, current_step, user_request, attempt,
    execution_summary, created_at, updated_at)
SELECT 'task-' || n, 'user-' || mod(n, 100), 'roadmap-' || mod(n, 1000) + 1,
    (ARRAY['completed', 'completed', 'partial_failure', 'failed', 'processing'])[mod(n, 5) + 1],
    'content_generation', '{}', 1,
    json_build_object(
        'tutorial', json_build_object('total', 30, 'completed', 29, 'failed', 1),
        'resources', json_build_object('total', 30, 'completed', 24, 'failed', 6),
        'quiz', json_build_object('total', 30, 'completed', 29, 'failed', 1)),
    timestamp '2026-01-01' + n * interval '20 seconds', timestamp '2026-01-01' + n * interval '20 seconds'
FROM generate_series(1, :tasks) AS n
"""),
    text("""
INSERT INTO content_failures (task_id, attempt, concept_id, content_type, stage, error_code, reason,
    transient)
SELECT task_id, 1, 'c-1', 'tutorial', 'save', 'IdTaken', 'the id belongs to another concept or roadmap', false
FROM roadmap_tasks WHERE status IN ('partial_failure', 'failed')
"""),
)


class _Context:
    """The context that Lambda passes to an invocation."""

    function_name = "task-api"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:task-api"
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        """Return a sufficient time."""
        return 600_000


class _Functions(BaseHTTPRequestHandler):
    """The functions of the console and of the API, behind HTTP."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer with the function of the path."""
        url = urlsplit(self.path)
        asset = url.path.removeprefix("/console/")
        many = parse_qs(url.query)
        event = {
            "resource": url.path,
            "path": url.path,
            "httpMethod": "GET",
            "headers": {},
            "multiValueHeaders": {},
            "queryStringParameters": {name: values[-1] for name, values in many.items()} or None,
            "multiValueQueryStringParameters": many or None,
            "pathParameters": {"asset": asset} if asset and asset != url.path else None,
            "requestContext": {"authorizer": {"user_id": "operator", "roles": "operator"}, "path": url.path},
            "body": None,
            "isBase64Encoded": False,
        }
        function = console if url.path.startswith("/console") else task_api
        answer = function.handler(event, _Context())
        body = answer["body"].encode()
        self.send_response(answer["statusCode"])
        for name, value in (answer.get("headers") or {}).items():
            self.send_header(name, value)
        for name, values in (answer.get("multiValueHeaders") or {}).items():
            for value in values:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Functions) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Measure, print, and store the results."""
    arguments = arguments_of(__doc__, sizes=SIZES, rounds=ROUNDS, number=2)
    logging.getLogger(logger.name or "roadmap-content").disabled = True
    finish(measure(arguments.sizes, arguments.rounds), short=arguments.short)


def measure(sizes: Sequence[int], rounds: int) -> Result:
    """Measure the sizes of the responses, and the time until the first view is drawn."""
    few, many = sizes
    with ExitStack() as undo:
        databases = {size: undo.enter_context(own_database()) for size in sizes}
        for size, database in databases.items():
            _fill(database, size)
        url = undo.enter_context(_served())
        playwright = undo.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium())
        undo.callback(browser.close)
        requested: set[str] = set()
        drawn = in_turn(
            {str(size): _drawing(browser, url, database, requested) for size, database in databases.items()},
            rounds,
        )
        version = databases[few].version()
        chromium_version = browser.version
    series = Series(
        name="drawn",
        title="First view of the console, drawn",
        unit="s",
        size_name="tasks",
        base="console",
        values={"console": {size: drawn[str(size)] for size in sizes}},
    )
    sizes_sent = _sent_bytes(requested)
    total = sum(sizes_sent.values()) / 1000
    ratio = sorted(large / small for small, large in zip(drawn[str(few)], drawn[str(many)], strict=True))[
        rounds // 2
    ]
    return Result(
        name="console",
        title="The console",
        about=ABOUT.strip(),
        versions=versions("playwright") | {"PostgreSQL": version, "Chromium": chromium_version},
        series=[series],
        figures=[
            Figure(label="first view over the wire, compressed", value=total, unit="kB"),
            Figure(label="of that, vendored packages", value=_of(sizes_sent, "vendor/"), unit="kB"),
            Figure(label="requests of the first view, without data", value=len(sizes_sent)),
        ],
        targets=[
            Target(label="first view over the wire", value=total, limit=FIRST_VIEW_KB, unit="kB"),
            Target(label=f"drawn with {many:,} tasks, against {few:,}", value=ratio, limit=DRAWN_LIMIT),
        ],
    )


def _sent_bytes(requested: Iterable[str]) -> dict[str, int]:
    """The bytes of each file of the console that was requested, by path, as API Gateway would send them."""
    smallest = read_template(REPOSITORY / "template.yaml")["Resources"]["TasksApi"]["Properties"][
        "MinimumCompressionSize"
    ]
    files = {"": console.files.page} | {
        f"{console.files.digest}/{name}": body for name, body in console.files.files.items()
    }
    sent = {}
    for path in requested:
        body = files[path].encode()
        sent[path] = len(gzip.compress(body, 6)) if len(body) >= smallest else len(body)
    return sent


def _of(sizes: dict[str, int], folder: str) -> float:
    return sum(size for path, size in sizes.items() if f"/{folder}" in path) / 1000


def _fill(database: Database, tasks: int) -> None:
    with database.engine.begin() as connection:
        for statement in STOCK:
            connection.execute(statement, {"tasks": tasks} if ":tasks" in str(statement) else {})
    database.administer(["VACUUM ANALYZE", "CHECKPOINT"])


def _drawing(browser: Browser, url: str, database: Database, requested: set[str]) -> Callable[[], float]:
    """Draws the first view. Adds the console's paths that the page requests to `requested`."""
    start = f"{url}/console/"

    def note(request: Request) -> None:
        if request.url.startswith(start):
            requested.add(request.url.partition("#")[0].removeprefix(start))

    def draw() -> float:
        task_api.services.engine = task_api.services.reading_engine = database.engine
        context = browser.new_context()
        try:
            context.add_init_script(WATCH)
            page = context.new_page()
            page.on("request", note)
            page.set_default_timeout(DEADLINE_MS)
            page.goto(f"{start}#token={TOKEN}")
            page.locator("tbody tr").first.wait_for()
            milliseconds: Any = page.evaluate("window.drawn")
            return float(milliseconds) / 1000
        finally:
            context.close()

    return draw


if __name__ == "__main__":
    main()
