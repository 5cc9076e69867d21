"""Signing in, and the places where a token must never be."""

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import parse_qs, urlencode

import pytest
from playwright.sync_api import Browser, Dialog, expect

from functions.console import app
from tests.browser.driver import Look, console_in
from tests.browser.real_api import RealApi, token_of
from tests.support.http_server import HttpServer, Reply, Request, json_reply

pytestmark = pytest.mark.nightly


def test_a_link_signs_in_and_its_token_is_in_no_request_and_not_in_the_address(
    browser: Browser, api: RealApi
) -> None:
    token = token_of("operator")
    api.requests.clear()
    with console_in(browser, api.url) as console:
        console.open("/failures", token)
        expect(console.page.get_by_role("heading", name="Failures")).to_be_visible()
        assert console.page.url.endswith("/console/#/failures")
        assert not [each for each in api.requests if token in each]
        assert console.page.evaluate("history.length") == 2  # about:blank, and the page
        console.page.reload()
        expect(console.page.get_by_role("heading", name="Failures")).to_be_visible()


def test_a_link_pasted_into_an_open_tab_signs_in(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url) as console:
        console.open()
        console.page.evaluate(
            "token => { location.hash = `token=${token}&to=/health` }", token_of("operator")
        )
        expect(console.page.get_by_role("heading", name="Health", exact=True)).to_be_visible()
        assert "token" not in console.page.url


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "declined"])
@pytest.mark.parametrize("reloads", [True, False], ids=["opened", "pasted"])
def test_a_link_replaces_a_sign_in_only_if_the_user_accepts(
    browser: Browser, api: RealApi, reloads: bool, accepted: bool
) -> None:
    asked: list[str] = []

    def decide(dialog: Dialog) -> None:
        asked.append(dialog.message)
        if accepted:
            dialog.accept()
        else:
            dialog.dismiss()

    with console_in(browser, api.url) as console:
        console.page.on("dialog", decide)
        console.open(token=token_of("operator"))
        console.open("/health", token_of("operator"))
        expect(console.page.get_by_role("heading", name="Health", exact=True)).to_be_visible()
        assert not asked, "the link has the same token"
        if reloads:
            console.page.goto("about:blank")
        console.open("/failures", token_of("viewer"))
        expect(console.page.get_by_role("heading", name="Failures")).to_be_visible()
        expect(console.page.locator("header .who")).to_contain_text("viewer" if accepted else "operator")
        assert len(asked) == 1
        assert "token" not in console.page.url
        kept = console.page.evaluate("sessionStorage.getItem('roadmap.token')")
        assert kept == token_of("viewer" if accepted else "operator")


def test_a_token_stays_in_its_tab_and_ends_with_it(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url) as console:
        console.open(token=token_of("operator"))
        other = console.page.context.new_page()
        other.goto(f"{api.url}/console/")
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
        console.page.get_by_role("button", name="Sign out").click()
        expect(console.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert console.page.evaluate("sessionStorage.length") == 0


def test_a_value_that_is_not_a_token_is_not_sent(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url) as console:
        console.open()
        before = len(console.requested)
        console.page.get_by_label("Token").fill("my password")
        console.page.get_by_label("Token").press("Enter")
        expect(console.page.locator("main")).to_contain_text("This is not a JSON Web Token")
        assert len(console.requested) == before


class Issuer:
    """An issuer with one client, which requires no password."""

    def __init__(self) -> None:
        self.accepts = True
        self._challenge = ""

    def answer(self, request: Request) -> Reply:
        """The discovery document; the sign-in page, which redirects back immediately; the token endpoint."""
        own = f"http://{request.headers['Host']}"
        match request.path:
            case "/.well-known/openid-configuration":
                endpoints = {"authorization_endpoint": f"{own}/authorize", "token_endpoint": f"{own}/token"}
                return _to_the_console(endpoints)
            case "/authorize":
                return self._redirect({name: values[0] for name, values in request.query.items()})
            case _:
                return self._exchange(parse_qs(request.body.decode()))

    def _redirect(self, query: dict[str, str]) -> Reply:
        assert query["code_challenge_method"] == "S256"
        assert (query["client_id"], query["scope"], query["audience"]) == ("the-console", "openid ops", "api")
        self._challenge = query["code_challenge"]
        answer = {"code": "a-code"} if self.accepts else {"error": "access_denied"}
        location = f"{query['redirect_uri']}?{urlencode(answer | {'state': query['state']})}"
        return Reply(302, headers={"Location": location})

    def _exchange(self, body: dict[str, list[str]]) -> Reply:
        """Exchange the code, if the verifier is correct."""
        digest = sha256(body["code_verifier"][0].encode()).digest()
        proven = base64.urlsafe_b64encode(digest).decode().rstrip("=") == self._challenge
        if not proven or body["code"] != ["a-code"]:
            return _to_the_console({}, 400)
        return _to_the_console({"access_token": token_of("operator")})


def _to_the_console(document: dict[str, str], status: int = 200) -> Reply:
    return json_reply(document, status, Access_Control_Allow_Origin="*")


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def issuer_url(monkeypatch: pytest.MonkeyPatch, issuer: Issuer) -> Iterator[str]:
    with HttpServer(issuer.answer) as server:
        for name, value in {
            "JWT_ISSUER": server.url,
            "JWT_AUDIENCE": "api",
            "CONSOLE_CLIENT_ID": "the-console",
            "CONSOLE_SCOPE": "openid ops",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(app, "files", app.load())
        yield server.url


def test_an_issuer_signs_in_by_code_with_pkce(browser: Browser, api: RealApi, issuer_url: str) -> None:
    with console_in(browser, api.url) as console:
        console.open("/failures?content_type=quiz")
        console.page.get_by_role("button", name="Sign in with your organisation").click()
        expect(console.page.get_by_role("heading", name="Failures")).to_be_visible()
        assert console.page.url.endswith("/console/#/failures?content_type=quiz")
        assert [url for url in console.requested if url.startswith(issuer_url)]
        assert console.page.evaluate("sessionStorage.length") == 0  # the token is in memory
        console.page.reload()
        expect(console.page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


@pytest.mark.usefixtures("issuer_url")
def test_a_refusal_of_the_issuer_shows_a_message(browser: Browser, api: RealApi, issuer: Issuer) -> None:
    issuer.accepts = False
    with console_in(browser, api.url, Look("zh")) as console:
        console.open()
        console.page.get_by_role("button", name=re.compile("组织账号")).click()
        expect(console.page.get_by_role("alert")).to_contain_text("登录未完成")


def test_a_sign_in_response_without_a_request_is_ignored(
    browser: Browser, api: RealApi, issuer_url: str
) -> None:
    with console_in(browser, api.url) as console:
        console.page.goto(f"{api.url}/console/?code=a-code&state=forged")
        expect(console.page.get_by_role("alert")).to_contain_text("The sign-in was not completed")
        assert "code=" not in console.page.url
        assert not [url for url in console.requested if url.startswith(issuer_url)]
