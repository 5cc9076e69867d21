"""The link check on a web of 1,000 URLs with known faults: no dead link is saved, no live one is dropped, and
no private address is requested.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.kind import Draft
from roadmap_content.content.links import check
from roadmap_content.content.links.check import CheckReport, CheckRequest, check_links, judge_all
from roadmap_content.content.links.judgement import Judgement, State
from roadmap_content.content.resources import ResourcesDraft
from roadmap_content.contracts.payloads import parse
from roadmap_content.platform.aws.content_check import ContentCheck
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from tests.support.factories import bundle_of, concept_ids
from tests.support.link_web import PUBLIC, LinkWeb, is_slow, known_links
from tests.support.pipeline import SETTINGS, Pipeline

AN_HOUR = 3600.0
SECONDS = 60


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkWeb]:
    monkeypatch.setattr(check, "CHECK_SECONDS", AN_HOUR)  # this machine may be busy
    with LinkWeb(tmp_path).running() as running:
        yield running


@pytest.mark.slow
def test_each_of_1000_links_is_judged_as_it_is_and_no_private_address_is_requested(
    web: LinkWeb,
) -> None:
    known = known_links(web)
    assert len(known) == 1000
    patient = [url for url in known if not is_slow(url)]
    judged = judge_all(patient, web.web(), Deadline.after(AN_HOUR))
    judged |= judge_all(filter(is_slow, known), web.web(patient=False), Deadline.after(AN_HOUR))
    wrong = {url: (judged[url], state) for url, state in known.items() if judged[url].state is not state}
    assert wrong == {}
    assert web.private_connections == 0
    assert set(web.connected) == {PUBLIC}
    assert len(web.connected) >= 1000
    report_cost(judged.values())


def report_cost(judged: Iterable[Judgement]) -> None:
    """Print the cost (`pytest -s`)."""
    found = list(judged)
    states = Counter(str(each.state) for each in found)
    requests, read = sum(each.requests for each in found), sum(each.bytes_read for each in found)
    print(  # noqa: T201
        f"\n{len(found)} links, {dict(states)}: {requests / len(found):.1f} requests and"
        f" {read / len(found):.0f} bytes for a link; at most"
        f" {max(each.requests for each in found)} requests and {max(each.bytes_read for each in found)} bytes"
    )


class LinkCheck(ContentCheck):
    """The link check in the same process, on a web of the test. Only items with slow servers have limits."""

    def __init__(self, web: LinkWeb, least_resources: int = 3) -> None:
        super().__init__("check", SECONDS)
        self.web, self.least = web, least_resources
        self.reports: list[CheckReport] = []

    def ask(self, document: Any, seconds: float) -> Any:
        slow = [any(map(is_slow, urls_of(item["content"]))) for item in document["items"]]
        answers = {is_late: iter(self._check(document, slow, is_late=is_late)) for is_late in (False, True)}
        verdicts = [next(answers[is_late]) for is_late in slow]
        requests = sum(report.requests for report in self.reports[-2:])
        return json.loads(json.dumps({"verdicts": verdicts, "requests": requests}))

    def _check(self, document: Any, slow: list[bool], *, is_late: bool) -> Sequence[Any]:
        asked = [item for item, is_slow in zip(document["items"], slow, strict=True) if is_slow == is_late]
        to_check = parse(CheckRequest, document | {"items": asked})
        web = self.web.web(patient=not is_late)
        self.reports.append(check_links(to_check, web, self.least, Deadline.after(AN_HOUR)))
        return self.reports[-1].verdicts


class Corrector(OfflineGenerator):
    """A model that learns which links are dead, and names others."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.told: list[str] = []

    def generate(self, *arguments: Any) -> Draft:
        self.told += arguments[4:]
        draft = super().generate(*arguments)
        if not isinstance(draft, ResourcesDraft):
            return draft
        found = [each.model_copy(update={"url": self.url}) for each in draft.resources]
        return draft.model_copy(update={"resources": found})


def urls_of(content: Any) -> list[str]:
    return [resource["url"] for resource in content.get("resources", [])]


def checked(pipeline: Pipeline, web: LinkWeb, least_resources: int = 3, **settings: str) -> LinkCheck:
    pipeline.services.settings = Settings(
        SETTINGS
        | {"CONTENT_CHECK_SCOPE": "all", "CONTENT_CHECK_FAILURE": "wait"}
        | {"CONTENT_CHECK_SECONDS": str(SECONDS)}
        | settings
    )
    link_check = LinkCheck(web, least_resources)
    pipeline.services.__dict__["content_check"] = link_check
    return link_check


@pytest.mark.slow
def test_no_dead_link_of_1000_is_saved_and_no_live_one_is_dropped(pipeline: Pipeline, web: LinkWeb) -> None:
    known = known_links(web)
    # Slow ones together; the others mixed, so that most lists have dead links, and some too many of them.
    urls = sorted(known, key=lambda url: (is_slow(url), hashlib.sha256(url.encode()).digest()))
    lists = [urls[start : start + 8] for start in range(0, len(urls), 8)]
    ids = concept_ids(len(lists))
    bundle = bundle_of(ids)
    given = {}
    for concept_id, entry, links in zip(ids, bundle["content"], lists, strict=True):
        entry["resources"]["resources"] = [{"title": url, "url": url} for url in links]
        given[concept_id] = links
    pipeline.load(bundle)
    link_check = checked(pipeline, web, least_resources=5)
    assert not pipeline.run().complete
    requests = sum(report.requests for report in link_check.reports)
    read = sum(report.bytes_read for report in link_check.reports)
    cost = f"{requests / len(lists):.1f} requests and {read / len(lists):.0f} bytes"
    print(f"\n{cost} for an item of 8 links")  # noqa: T201

    saved = saved_urls(pipeline)
    refused = {failed.concept_id: failed for failed in pipeline.status().failed_items}
    assert saved.keys() | refused.keys() == set(ids)
    assert saved.keys() & refused.keys() == set()
    for concept_id, kept in saved.items():
        assert kept == [url for url in given[concept_id] if known[url] is not State.DEAD]
    for concept_id, failed in refused.items():
        assert sum(known[url] is State.DEAD for url in given[concept_id]) > 3
        assert failed.error_code == "Check.DeadLinks"
        listed = [url for url in given[concept_id] if url in failed.reason]
        assert listed
        assert all(known[url] is State.DEAD for url in listed)
    assert len(saved) > 20
    assert len(refused) > 20
    assert web.private_connections == 0
    assert set(web.connected) == {PUBLIC}
    (group,) = pipeline.rows("SELECT error_code, items FROM content_failure_groups WHERE items > 0")
    assert group == {"error_code": "Check.DeadLinks", "items": len(refused)}

    model = Corrector(web.http("live-1", "ok/page"))
    pipeline.services.__dict__["generator"] = model
    assert pipeline.run().complete
    assert sorted(model.told) == sorted(failed.reason for failed in refused.values())
    after = saved_urls(pipeline)
    assert {concept_id: after[concept_id] for concept_id in saved} == saved
    assert all(known[url] is not State.DEAD for kept in after.values() for url in kept)


def saved_urls(pipeline: Pipeline) -> dict[str, list[str]]:
    rows = pipeline.rows("SELECT concept_id, resources FROM resource_recommendation_metadata")
    return {row["concept_id"]: [each["url"] for each in row["resources"]] for row in rows}


def test_a_dead_link_of_a_tutorial_becomes_its_text(pipeline: Pipeline, web: LinkWeb) -> None:
    live, dead = web.http("live-1", "ok/page"), web.http("dead-1", "404/page")
    example, in_code = f"http://localhost:{web.port}/", web.disguised("127.0.0.1")
    text = (
        f"See [the guide]({live}) and [the old one]({dead} 'Old').\n\nOpen {example}\n\n"
        f"```sh\ncurl {in_code}\n```\n\nand `{in_code}`.\n"
    )
    bundle = bundle_of(concept_ids(2))
    for entry, markdown in zip(bundle["content"], (text, f"Read {dead}.\n"), strict=True):
        entry["tutorial"]["markdown"] = markdown
        entry["resources"]["resources"] = []
    pipeline.load(bundle)
    checked(pipeline, web)
    assert not pipeline.run().complete
    (row,) = pipeline.rows("SELECT content_url FROM tutorial_metadata")
    saved = pipeline.bucket.get(row["content_url"])
    assert saved is not None
    assert saved.body.decode() == text.replace(f"[the old one]({dead} 'Old')", "the old one")
    (failed,) = pipeline.status().failed_items
    assert failed.reason == f'dead links: "{dead} (404)"'
    assert web.private_connections == 0


def test_a_busy_host_is_asked_twice_at_a_time_and_not_again_after_429(web: LinkWeb) -> None:
    urls = [web.http("busy-1", f"429/page-{number}") for number in range(50)]
    judged = judge_all(urls, web.web(), Deadline.after(AN_HOUR))
    assert {each.state for each in judged.values()} == {State.UNKNOWN}
    assert web.requests["busy-1.links.web"] <= 2
    steady = [web.http("steady", f"ok/page-{number}") for number in range(50)]
    judge_all(steady, web.web(), Deadline.after(AN_HOUR))
    assert web.requests["steady.links.web"] == 50
    assert web.most_at_once["steady.links.web"] <= 2


def test_links_are_unknown_when_the_time_is_up(web: LinkWeb) -> None:
    urls = [web.http(f"slow-{number}", "silent/page") for number in range(3)]
    judged = judge_all(urls, web.web(), Deadline.after(0.2))
    assert {each.state for each in judged.values()} == {State.UNKNOWN}
    web.over.set()
