"""The origin and the revisions of an item, a restore, and the undo of a recovery (on the simulated API)."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.driver import Console, Look, console_in
from tests.browser.fake_api import REQUESTS, token_of
from tests.browser.fake_data import HOSTILE, Model, N, task_id

COMPLETE = f"/tasks/{task_id(1)}"
UNDOABLE = "/recoveries/rec-2"
LOOKS = [Look(), Look("zh", "dark", 360)]


@pytest.fixture
def console(browser: Browser, fake: str, request: pytest.FixtureRequest) -> Iterator[Console]:
    """An operator with data of their own, because these tests change it."""
    with console_in(browser, fake) as opened:
        opened.open("/tasks", token_of(request.node.name))
        yield opened


def open_item(console: Console, kind: str) -> Locator:
    """Open a saved item; return its section of the panel."""
    item = quote("roadmap-9b2c8d4e:c-1", safe="")
    console.open(f"{COMPLETE}?item={item}&type={kind}")
    return console.page.locator(f'.drawer [data-type="{kind}"]')


def open_revisions(console: Console, kind: str) -> Locator:
    """Open the revisions of a saved item; return their list."""
    section = open_item(console, kind)
    section.locator("summary", has_text=re.compile("^(Revisions|修订)$")).click()
    revisions = section.locator(".revisions > li")
    expect(revisions).to_have_count(2)
    return revisions


def test_an_item_shows_its_origin(console: Console) -> None:
    facts = open_item(console, "tutorial").locator(".origin").first.locator("div")
    expect(facts).to_have_text(
        [
            "Written byBedrock",
            "Modelmodel-x",
            "Prompten/tutorial version 9f86d081a3c2",
            "Tokens1,412 in, 2,000 out",
            "Attempt2",
            "Started byowner u-1",
            "Recorded4 hr ago",
        ]
    )


def test_an_item_without_a_recorded_origin_says_so(console: Console) -> None:
    former = open_revisions(console, "tutorial").nth(1)
    former.locator("summary").click()
    expect(former.locator(".origin")).to_contain_text("before origins were recorded")


def test_revisions_are_listed_with_version_size_time_origin_and_reason(console: Console) -> None:
    current, former = open_revisions(console, "tutorial").all()
    expect(current).to_contain_text(re.compile(r"version 2 current4 hr ago · \d+ B · Bedrock · model-x"))
    expect(former).to_contain_text(
        re.compile(r"version 1 ?1 day ago · \d+ B · unknown ?Replaced 4 hr ago · replaced in place")
    )
    expect(current.get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize(
    ("kind", "removed", "added"),
    [
        ("tutorial", ["turns it into weights"], ["makes weights of it"]),
        ("quiz", ["○", "✓"], ["✓", "○"]),
        ("resources", [], ["A link without TLS", "http://example.org/"]),
    ],
)
def test_two_revisions_stand_side_by_side_with_their_differences_marked(
    browser: Browser, fake: str, look: Look, kind: str, removed: list[str], added: list[str]
) -> None:
    with console_in(browser, fake, look) as console:
        console.open("/tasks", token_of("operator"))
        open_revisions(console, kind).nth(1).get_by_role("button").first.click()
        dialog = console.page.get_by_role("dialog")
        difference = dialog.locator(".difference")
        for tag, texts in (("del", removed), ("ins", added)):
            for text in texts:
                expect(difference.locator(tag, has_text=text).first).to_be_visible()
        assert console.axe() == []
        assert console.overflow() == 0
        if kind == "tutorial":
            before = difference.locator("tbody tr").count()
            dialog.get_by_role("button", name=re.compile("^(Show|显示) ?[0-9]+")).click()
            assert difference.locator("tbody tr").count() > before
        expect(difference.locator(".skipped")).to_have_count(1 if kind == "quiz" else 0)
        dialog.locator("select").first.select_option(index=0)  # the current one with itself
        expect(dialog).to_contain_text(re.compile("Both have the same content|两者内容相同"))


def test_the_difference_of_a_line_is_its_words(console: Console) -> None:
    rows = console.page.evaluate(
        """async () => {
            const base = document.querySelector('script[type=module]').src;
            const { sideBySide } = await import(new URL('difference.js', base).href);
            const text = pieces => pieces && pieces.map(p => p.changed ? `[${p.text}]` : p.text).join('');
            return sideBySide(
                ['a', 'the old word stays', 'removed', 'z', '注意力比较查询'],
                ['a', 'the new short word stays', 'z', '注意力比较每个查询', 'inserted'],
            ).map(row => [row.same, text(row.left), text(row.right)]);
        }"""
    )
    assert rows == [
        [True, "a", "a"],
        [False, "the [old] word stays", "the [new short] word stays"],
        [False, "[removed]", None],
        [True, "z", "z"],
        [False, "注意力比较查询", "注意力比较[每个]查询"],
        [False, None, "[inserted]"],
    ]


def test_a_revision_is_restored_after_a_confirmation_with_a_reason(console: Console) -> None:
    page = console.page
    revisions = open_revisions(console, "tutorial")
    REQUESTS.clear()
    revisions.nth(1).get_by_role("button", name="Compare with the current one").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("version 1")
    expect(dialog).to_contain_text("The tutorial gets its next version.")
    assert console.axe() == []
    assert not [each for each in REQUESTS if each.startswith("POST")]
    dialog.get_by_label("Reason").fill("the new one is wrong")
    dialog.get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator(".toast")).to_have_text("The revision is restored.")
    expect(revisions).to_have_count(3)
    expect(revisions.first).to_contain_text("version 3 current")
    expect(revisions.nth(1)).to_contain_text("an earlier revision was restored")
    section = page.locator('.drawer [data-type="tutorial"]')
    expect(section.locator(".content")).to_contain_text("turns it into weights")
    expect(section.locator(".origin").first).to_contain_text("Restored contentarchive-7")
    expect(section.locator(".origin").first).to_contain_text("the new one is wrong")
    (sent,) = [each for each in REQUESTS if each.startswith("POST")]
    assert "/items/tutorial/revisions/archive-7/restore?" in sent
    assert "reason=the+new+one+is+wrong" in sent


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_restore_that_is_refused_says_why(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look) as console:
        console.open("/tasks", token_of("operator"))
        open_revisions(console, "resources").nth(1).get_by_role("button").last.click()
        dialog = console.page.get_by_role("dialog")
        dialog.locator(".primary").click()
        refusal = dialog.get_by_role("alert")
        expect(refusal).to_contain_text(re.compile("cannot become the current one|无法成为当前内容"))
        expect(refusal).to_contain_text("SQLSTATE 23503")
        assert console.axe() == []
        assert console.overflow() == 0


def test_a_viewer_compares_but_does_not_restore(browser: Browser, fake: str) -> None:
    with console_in(browser, fake) as console:
        console.open("/tasks", token_of("viewer"))
        former = open_revisions(console, "quiz").nth(1)
        expect(former.get_by_role("button")).to_have_text(["Compare with the current one"])
        former.get_by_role("button").click()
        expect(console.page.locator(".difference")).to_be_visible()
        expect(console.page.get_by_role("dialog").get_by_role("button", name="Restore…")).to_have_count(0)
        console.open(UNDOABLE)
        console.settled()
        expect(console.page.get_by_role("button", name="Undo…")).to_have_count(0)


def test_hostile_text_of_a_revision_stays_text(browser: Browser, fake: str) -> None:
    with console_in(browser, fake) as console:
        page = console.page
        console.open("/tasks", token_of("hostile"))
        page.locator("td.main a").first.click()
        page.locator(".row").nth(Model("hostile").states(0)[0][::N].index("S")).click()
        page.locator('.drawer [data-type="tutorial"] summary', has_text="Revisions").click()
        page.locator(".revisions button").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("Both have the same content.")
        page.get_by_role("dialog").get_by_role("button", name="Restore…").click()
        page.get_by_label("Reason").fill(HOSTILE)
        page.get_by_role("button", name="Restore", exact=True).click()
        expect(page.locator(".drawer .origin").first).to_contain_text("<img src=x")
        assert page.locator("main img, main style").count() == 0
        assert page.title() != "run"


def test_a_recovery_that_regenerated_is_undone_with_a_report(console: Console) -> None:
    page = console.page
    console.open(UNDOABLE)
    expect(page.locator(".facts")).to_contain_text(
        "Regenerates saved items. content type: quiz · prompt: en/quiz@3b0f6c1d92aa"
    )
    REQUESTS.clear()
    page.get_by_role("button", name="Undo…").click()
    expect(page.get_by_role("dialog")).to_contain_text("An item that was changed since is left alone.")
    assert console.axe() == []
    assert not [each for each in REQUESTS if each.startswith("POST")]
    page.get_by_role("button", name="Undo the recovery").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    posted = [each for each in REQUESTS if each.startswith("POST")]
    assert posted == ["POST /prod/api/v1/recoveries/rec-2/undo"] * 2  # the first one's time was up
    report = page.locator("section", has=page.get_by_role("heading", name="Undo"))
    expect(report.locator(".tiles > div")).to_have_text(
        ["187restored", "4had not been replaced", "2left alone"]
    )
    expect(page.locator("tbody tr").nth(1)).to_contain_text("undone: 3 restored, 2 left alone")
    report.get_by_text("Why 2 items were left alone").click()
    items = report.locator("li")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("It has been changed since.")
    expect(items.nth(1)).to_contain_text("The database does not accept its former content")
    assert console.axe() == []
    page.reload()  # the report is the API's, not the page's
    expect(report.locator(".tiles > div").first).to_have_text("187restored")
    expect(page.get_by_role("button", name=re.compile("Undo|undo"))).to_have_count(0)


def test_a_recovery_that_replaced_nothing_offers_no_undo(console: Console) -> None:
    console.open("/recoveries/rec-1")
    console.settled()
    expect(console.page.get_by_role("button", name="Undo…")).to_have_count(0)


def test_the_undo_in_chinese_on_a_phone(browser: Browser, fake: str) -> None:
    with console_in(browser, fake, Look("zh", "dark", 360)) as console:
        page = console.page
        console.open(UNDOABLE, token_of("operator"))
        page.get_by_role("button", name="撤销…").click()
        assert console.axe() == []
        page.get_by_role("dialog").locator(".danger").click()
        page.get_by_text("2 项保持不变的原因").click()
        expect(page.get_by_text("在此期间已被更改。")).to_be_visible()
        assert console.axe() == []
        assert console.overflow() == 0
