"""The console's files: paths, headers, caching, and vendored modules."""

import hashlib
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from functions.console import app
from local_stack.builds import REPOSITORY
from roadmap_content.api.console import StaticFiles
from roadmap_content.capabilities.failure_groups.turns import turn_of_group
from roadmap_content.content.generation.generator import GENERATORS
from roadmap_content.contracts.errors import MissingSettingError
from roadmap_content.contracts.items import Stage
from roadmap_content.contracts.reasons import SENTENCES
from roadmap_content.contracts.states import GroupState, RecoveryState
from roadmap_content.state.tasks.next_actions import advice_for
from roadmap_content.state.tasks.turn import InRecovery, TaskFacts, turn_of
from tests.support.pictured import pictured_digest
from tests.unit.test_turn import BUDGET, EVERY, FAILED, TRANSIENT

ASSETS = REPOSITORY / "console"
VENDOR = ASSETS / "vendor"
PICTURES = REPOSITORY / "docs/console"


def get(path: str, **headers: str) -> dict[str, Any]:
    """Request a path below the stage, like API Gateway."""
    asset = path.removeprefix("/console").removeprefix("/")
    event = {"path": path, "headers": headers, "pathParameters": {"asset": asset} if asset else None}
    return app.handler(event, None)


def current(name: str) -> str:
    return f"/console/{app.files.digest}/{name}"


def loaded(monkeypatch: pytest.MonkeyPatch, **environment: str) -> StaticFiles:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return app.load()


def test_the_page_is_never_cached_and_refers_to_existing_files() -> None:
    answer = get("/console/")
    assert answer["statusCode"] == 200
    assert answer["headers"]["Cache-Control"] == "no-cache"
    named = re.findall(r'(?:src|href)="([^"]+)"', answer["body"])
    assert len(named) >= 3
    for name in named:
        assert get(f"/console/{name}")["statusCode"] == 200


def test_without_the_trailing_slash_the_page_redirects() -> None:
    answer = get("/console")
    assert (answer["statusCode"], answer["headers"]["Location"]) == (308, "console/")


def test_files_under_the_current_digest_may_be_cached_forever() -> None:
    for name in app.files.files:
        answer = get(current(name))
        assert answer["statusCode"] == 200, name
        assert answer["headers"]["Cache-Control"] == "public, max-age=31536000, immutable", name
        assert answer["body"] == (ASSETS / name).read_text(), name


def test_the_digest_of_another_release_returns_the_current_file_uncached() -> None:
    answer = get("/console/0123456789abcdef/app.js")
    assert (answer["statusCode"], answer["headers"]["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path",
    ["app.js", "x/app.js", f"{app.files.digest}/", f"{app.files.digest}/../app.py", "../app.py"]
    + [
        f"{app.files.digest}/{name}"
        for name in ("index.html", "types.d.ts", "vendor/preact.d.ts", "%2e%2e/app.py")
    ],
)
def test_other_paths_are_not_found(path: str) -> None:
    answer = get(f"/console/{path}")
    assert answer["statusCode"] == 404
    assert "immutable" not in str(answer["headers"])


@pytest.mark.parametrize("path", ["/console/", current("app.js"), current("style.css")])
def test_cached_files_are_not_sent_again(path: str) -> None:
    tag = get(path)["headers"]["ETag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}'):
        answer = get(path, **{"If-None-Match": condition})
        assert (answer["statusCode"], answer["body"]) == (304, "")
        assert answer["headers"]["ETag"] == tag
    assert get(path, **{"If-None-Match": '"other"'})["statusCode"] == 200


@pytest.mark.parametrize("path", ["/console/", "/console", current("app.js"), "/console/nothing"])
def test_every_answer_has_the_security_headers(path: str) -> None:
    headers = get(path)["headers"]
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["img-src"] == "'self'"
    assert {policy[name] for name in ("object-src", "base-uri", "form-action", "frame-ancestors")} == {
        "'none'"
    }
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_issuer_may_be_reached_where_the_console_signs_in_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = loaded(
        monkeypatch,
        JWT_ISSUER="https://issuer.example/tenant",
        JWT_AUDIENCE='api"><script>',
        CONSOLE_CLIENT_ID="console",
        CONSOLE_TOKEN_ORIGIN="https://login.example",
    )
    policy = files.headers["Content-Security-Policy"]
    assert "connect-src 'self' https://issuer.example https://login.example;" in policy
    assert 'content="https://issuer.example/tenant"' in files.page
    assert 'content="api&quot;&gt;&lt;script&gt;"' in files.page


def test_without_a_client_the_page_contains_no_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    files = loaded(monkeypatch, JWT_ISSUER="https://issuer.example", CONSOLE_CLIENT_ID="")
    assert "issuer.example" not in files.page + str(files.headers)


@pytest.mark.parametrize(
    "url", ["http://issuer.example", "https://x; script-src *", "https://a b", "javascript:1"]
)
def test_an_origin_that_is_no_https_url_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingSettingError):
        loaded(monkeypatch, CONSOLE_PICTURE_ORIGINS=url)
    with pytest.raises(MissingSettingError):
        loaded(monkeypatch, JWT_ISSUER=url, CONSOLE_CLIENT_ID="console")


def test_the_digest_depends_on_every_name_and_content(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / hashlib.sha256(json.dumps(files).encode()).hexdigest()
        folder.mkdir()
        for name, content in {"index": "", **files}.items():
            (folder / f"{name}{'.html' if name == 'index' else '.js'}").write_text(content)
        return StaticFiles.load(folder, {}, {}).digest

    digests = [digest(a="1"), digest(a="2"), digest(b="1"), digest(a="1", b=""), digest(a="", b="1")]
    assert len(set(digests)) == len(digests)


def test_nothing_is_ever_parsed_as_markup() -> None:
    forbidden = re.compile(
        r"[iI]nnerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    )
    ours = list(ASSETS.glob("*.js"))
    assert len(ours) > 10
    assert [path.name for path in ours if forbidden.search(path.read_text())] == []


def test_both_languages_are_complete() -> None:
    """The type checker compares the keys; this test finds texts without a translation."""
    english, chinese = ((ASSETS / f"words-{name}.js").read_text() for name in ("en", "zh"))
    words = re.compile(r'^ {2,}(\w+|"[^"]*"): "([^"]+)"', re.MULTILINE)
    assert len(words.findall(english)) > 100
    same = {text for _, text in words.findall(english)} & {text for _, text in words.findall(chinese)}
    assert same <= {"–", "1h", "Token"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_state_of_a_recovery_and_every_generator_has_a_word(language: str) -> None:
    words = (ASSETS / f"words-{language}.js").read_text()
    assert set(RecoveryState) <= set(re.findall(r'^ {6}(\w+): "', words, re.MULTILINE))
    generators = words.partition("    generators: {")[2].partition("}")[0]
    assert set(re.findall(r'(\w+): "', generators)) == {"product", *GENERATORS}


def test_a_person_is_told_in_chinese_what_to_do() -> None:
    """Regression: the card had only that the next attempt would fail, too."""
    chinese = (ASSETS / "words-zh.js").read_text()
    told = re.findall(
        r"^    (\w+): ", chinese.partition("  remedies: {\n")[2].partition("  },\n")[0], re.MULTILINE
    )
    assert {code for code in SENTENCES if advice_for(code, Stage.SAVE).needs_person} == set(told) != set()


def test_whose_turn_it_is_is_said_in_chinese() -> None:
    turns = [turn_of(facts._replace(is_stopped=stopped)) for facts in EVERY for stopped in (False, True)]
    turns += [turn_of_group(state, task, TRANSIENT) for state, task in product(GroupState, (None, FAILED))]
    failed = TaskFacts("failed", 0, None, None, is_missing=True, advice=None)
    turns += [turn_of(failed._replace(recovery=InRecovery("r", None, each, False))) for each in (False, True)]
    said = {each.why for each in turns} - {BUDGET.text}  # translated with the remedies
    chinese = (ASSETS / "words-zh.js").read_text().partition("    why: {\n")[2].partition("    },\n")[0]
    assert set(re.findall(r'^ +"(.+?)": "', chinese, re.MULTILINE)) == said != set()


def test_vendored_files_match_their_recorded_hashes() -> None:
    recorded = json.loads((VENDOR / "vendored.json").read_text())
    assert {file for each in recorded for file in each["files"]} == {
        path.name for path in VENDOR.iterdir() if path.suffix == ".js"
    }
    for package in recorded:
        assert (VENDOR / f"{package['name']}.LICENSE.txt").read_text().strip()
        for name, digest in package["files"].items():
            assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_pictures_are_of_the_console_as_it_is() -> None:
    """Run `make browser PICTURES=1` to take them again."""
    record = json.loads((PICTURES / "pictures.json").read_text())
    assert record["console"] == pictured_digest(app.files), "changed since: make browser PICTURES=1"
    assert record["pictures"] == sorted(path.name for path in PICTURES.glob("*.png"))


def test_every_picture_in_a_document_exists() -> None:
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    shown = {
        (path.parent / name).resolve()
        for path in documents
        for name in re.findall(r"\]\(([^)]+\.png)\)", path.read_text())
    }
    assert shown == {path.resolve() for path in PICTURES.glob("*.png")}


# Text at 4.5:1 and shapes at 3:1 (WCAG 2.2, 1.4.3 and 1.4.11). Computed here, because axe does not check
# these.
TEXT = ["text", "muted", "link", "good", "bad", "warn", "busy"]
SHAPES = ["failed", "refused", "missing", "generating", "staged", "saved", "edge"]


def colours(theme: int) -> dict[str, str]:
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", (ASSETS / "style.css").read_text())
    return {name: (light, dark)[theme] for name, light, dark in found}


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_enough_contrast(theme: int) -> None:
    palette = colours(theme)
    for ground in ("ground", "panel", "raised"):
        for name in TEXT:
            assert contrast(palette[name], palette[ground]) >= 4.5, f"{name} on {ground}"
        for name in SHAPES:
            assert contrast(palette[name], palette[ground]) >= 3, f"{name} on {ground}"
    for name in ("good", "bad", "warn", "busy"):
        assert contrast(palette[name], palette[f"{name}-tint"]) >= 4.5, name
    assert contrast(palette["on-link"], palette["link"]) >= 4.5
