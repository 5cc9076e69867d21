"""The decisions of the link check: which addresses are public, how URLs are read, which of them are links."""

import json

import pytest

from functions.check_links import app
from local_stack.builds import REPOSITORY
from roadmap_content.content.links.addresses import is_public
from roadmap_content.content.links.content import links_in, without_links
from roadmap_content.content.links.urls import (
    UncheckedUrlError,
    UnusableUrlError,
    is_example,
    parse_url,
    redirected,
)
from roadmap_content.contracts.items import ContentType


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.1.69", "2606:4700::6810:84e5", "2a00:1450:4001::1"])
def test_hosts_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.2", "169.254.169.254", "172.31.0.1", "192.0.0.170"),  # noqa: S104
        *(
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *("::", "::1", "::127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "100::1"),
        *("2001::1", "2001:db8::1", "2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1%eth0"),
        *("fec0::1", "ff02::1", "", "localhost", "8.8.8.8.8"),
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        (
            "https://user:secret@example.org:443/a b?c=ü&d=%20#part",
            "https://example.org/a%20b?c=%C3%BC&d=%20",
        ),
        ("http://bücher.example.org/路", "http://xn--bcher-kva.example.org/%E8%B7%AF"),
        ("http://example.org:8080?q", "http://example.org:8080/?q"),
        ("http://１２７．0.0.1/", "http://127.0.0.1/"),
        ("http://%6c%6fcalhost./", "http://localhost/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
    ],
)
def test_a_url_is_requested_as_by_a_browser(url: str, requested: str) -> None:
    assert parse_url(url).url == requested


@pytest.mark.parametrize(
    "url", ["http://", "http:///path", "http://a..b/", "http://[::1/", "http://a:b/", "https://a b/"]
)
def test_a_url_without_a_host_is_unusable(url: str) -> None:
    with pytest.raises(UnusableUrlError):
        parse_url(url)


@pytest.mark.parametrize("url", ["mailto:a@example.org", "ftp://example.org/", "http://example.org:25/"])
def test_other_protocols_are_not_requested(url: str) -> None:
    with pytest.raises(UncheckedUrlError):
        parse_url(url)


def test_a_header_or_request_line_cannot_be_added() -> None:
    url = "http://example.org/a\r\nX-More: 1\r\n\r\nGET /b"
    assert parse_url(url).path == "/aX-More:%201GET%20/b"
    assert redirected(parse_url("http://example.org/a/b"), "../c\r\nX: 1").path == "/cX:%201"


@pytest.mark.parametrize(
    "url", ["http://localhost:3000/", "http://127.0.0.1/", "https://api.example.com/x", "http://a.local"]
)
def test_an_example_is_no_link(url: str) -> None:
    assert is_example(url)
    content = {"markdown": f"Open {url} or [it]({url})."}
    assert links_in(ContentType.TUTORIAL, content) == []


@pytest.mark.parametrize("url", ["http://2130706433/", "https://docs.python.org/3/", "https://example.dev/"])
def test_a_disguise_is_no_example(url: str) -> None:
    assert not is_example(url)


TEXT = """# Title

[one](https://a.org/1_(x) "Title"), ![image](https://a.org/2), <https://a.org/3>, https://a.org/4. (https://a.org/5)

`https://a.org/code` ``[x](https://a.org/code)``

~~~
[x](https://a.org/code)
~~~

```python
url = "https://a.org/code"
"""


def test_the_links_of_a_text_are_those_outside_code() -> None:
    expected = [
        "https://a.org/1_(x)",
        "https://a.org/2",
        *(f"https://a.org/{number}" for number in (3, 4, 5)),
    ]
    assert links_in(ContentType.TUTORIAL, {"markdown": TEXT}) == expected


def test_a_link_becomes_its_text_and_code_stays() -> None:
    dead = {"https://a.org/1_(x)", "https://a.org/2", "https://a.org/code"}
    found = without_links(ContentType.TUTORIAL, {"markdown": TEXT, "other": 1}, dead, 1)
    changed = TEXT.replace('[one](https://a.org/1_(x) "Title")', "one").replace(
        "![image](https://a.org/2)", "image"
    )
    assert found == {"markdown": changed, "other": 1}
    assert without_links(ContentType.TUTORIAL, {"markdown": TEXT}, {"https://a.org/4"}, 1) is None


def test_a_resource_is_removed_if_enough_remain() -> None:
    content = {"resources": [{"url": f"https://a.org/{number}"} for number in range(4)]}
    kept = without_links(ContentType.RESOURCES, content, {"https://a.org/2"}, 3)
    assert kept == {"resources": [{"url": f"https://a.org/{number}"} for number in (0, 1, 3)]}
    assert without_links(ContentType.RESOURCES, content, {"https://a.org/2"}, 4) is None


class Context:
    """The fields of a context that the handler reads."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "local"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def test_the_function_answers_its_event_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_CHECK_RESOURCES", "3")
    event = json.loads((REPOSITORY / "events/check_links.json").read_text())
    answer = app.handler(event, Context())  # type: ignore[arg-type]
    accepted, rejected = answer["verdicts"]
    assert accepted == {"verdict": "accept"}
    assert rejected == {
        "verdict": "reject",
        "code": "DeadLinks",
        "reason": 'dead links: "http://169.254.169.254/latest/meta-data/ (its address is not public), '
        'http://2130706433/ (its address is not public)"',
    }
    assert answer["links"] == {"live": 0, "dead": 2, "unknown": 0}
