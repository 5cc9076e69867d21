"""The origin and the revisions of an item, a restore, and the undo of a recovery (on real tasks)."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.driver import Console, Look, console_in
from tests.browser.real_api import RealApi
from tests.browser.tasks import COMPLETE, complete, concept, regenerated

pytestmark = pytest.mark.nightly

LOOKS = [Look(), Look("zh", "dark", 360)]


def open_item(console: Console, kind: str, task_id: str) -> Locator:
    """Open a saved item; return its section of the panel."""
    console.open(f"/tasks/{task_id}?item={quote(concept(task_id, 1), safe='')}&type={kind}")
    return console.page.locator(f'.drawer [data-type="{kind}"]')


def open_revisions(console: Console, kind: str, task_id: str = COMPLETE) -> Locator:
    """Open the revisions of a saved item; return their list."""
    section = open_item(console, kind, task_id)
    section.locator("summary", has_text=re.compile("^(Revisions|修订)$")).click()
    revisions = section.locator(".revisions > li")
    expect(revisions).to_have_count(2)
    return revisions


def test_an_item_shows_its_origin(console: Console) -> None:
    facts = open_item(console, "tutorial", COMPLETE).locator(".origin").first.locator("div")
    expect(facts).to_have_text(
        [
            "Written byBedrock",
            "Modelmodel-x",
            "Prompten/tutorial version 9f86d081a3c2",
            "Tokens1,412 in, 2,000 out",
            "Attempt2",
            "Started byoperator op-7",
            re.compile("^Recorded"),
        ]
    )


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
    browser: Browser, api: RealApi, look: Look, kind: str, removed: list[str], added: list[str]
) -> None:
    with console_in(browser, api.url, look, "operator") as console:
        console.open("/tasks")
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
    console.open()
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


def test_a_revision_is_restored_after_a_confirmation_with_a_reason(console: Console, api: RealApi) -> None:
    complete(api, "to-restore")
    page = console.page
    revisions = open_revisions(console, "tutorial", "to-restore")
    api.requests.clear()
    revisions.nth(1).get_by_role("button", name="Compare with the current one").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("version 1")
    expect(dialog).to_contain_text("The tutorial gets its next version.")
    assert console.axe() == []
    assert not [each for each in api.requests if each.startswith("POST")]
    dialog.get_by_label("Reason").fill("the new one is wrong")
    dialog.get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator(".toast")).to_have_text("The revision is restored.")
    expect(revisions).to_have_count(3)
    expect(revisions.first).to_contain_text("version 3 current")
    section = page.locator('.drawer [data-type="tutorial"]')
    expect(section.locator(".content")).to_contain_text("turns it into weights")
    expect(section.locator(".origin").first).to_contain_text("Restored content")
    expect(section.locator(".origin").first).to_contain_text("the new one is wrong")


def test_a_revision_that_another_person_restores_is_shown(console: Console, api: RealApi) -> None:
    """Regression: a restore changes nothing of the task, and the page kept the former content."""
    complete(api, "restored-elsewhere")
    page = console.page
    page.clock.install()
    revisions = open_revisions(console, "tutorial", "restored-elsewhere")
    path = "/tasks/restored-elsewhere/items/tutorial/revisions"
    query = {"concept_id": concept("restored-elsewhere", 1)}
    former = api.send("GET", path, **query)["items"][1]["revision_id"]
    api.send("POST", f"{path}/-/restore", **query, exact=former, user_id="owner")
    page.clock.fast_forward(10_000)
    expect(page.locator(".drawer .content")).to_contain_text("turns it into weights")
    expect(revisions).to_have_count(3)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_restore_that_is_refused_says_why(browser: Browser, api: RealApi, look: Look) -> None:
    refusal = {"error": "RestoreRefused", "message": "the database refused the revision: SQLSTATE 23503"}
    with console_in(browser, api.url, look, "operator") as console:
        console.page.route("**/restore?*", lambda route: route.fulfill(status=409, json=refusal))
        open_revisions(console, "resources").nth(1).get_by_role("button").last.click()
        dialog = console.page.get_by_role("dialog")
        dialog.locator(".primary").click()
        note = dialog.get_by_role("alert")
        expect(note).to_contain_text(re.compile("cannot become the current one|无法成为当前内容"))
        expect(note).to_contain_text("SQLSTATE 23503")
        assert console.axe() == []
        assert console.overflow() == 0


def test_a_viewer_compares_but_does_not_restore(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url, role="viewer") as console:
        former = open_revisions(console, "quiz").nth(1)
        expect(former.get_by_role("button")).to_have_text(["Compare with the current one"])
        former.get_by_role("button").click()
        expect(console.page.locator(".difference")).to_be_visible()
        expect(console.page.get_by_role("dialog").get_by_role("button", name="Restore…")).to_have_count(0)
        console.open(f"/recoveries/{api.recoveries['regenerated']}")
        console.settled()
        expect(console.page.get_by_role("button", name="Undo…")).to_have_count(0)


def test_a_recovery_that_regenerated_is_undone_with_a_report(console: Console, api: RealApi) -> None:
    page = console.page
    recovery_id = regenerated(api, "to-undo")
    query = {"concept_id": concept("to-undo", 1), "regenerate": "true", "content_type": "quiz"}
    api.send("POST", "/tasks/to-undo/retry", **query)  # changed since the recovery
    api.play("to-undo")
    console.open(f"/recoveries/{recovery_id}")
    expect(page.locator(".facts")).to_contain_text("regenerates saved items ·")
    expect(page.locator(".facts")).to_contain_text("content type: quiz")
    page.get_by_role("button", name="Undo…").click()
    expect(page.get_by_role("dialog")).to_contain_text("An item that was changed since is left alone.")
    assert console.axe() == []
    assert api.send("GET", f"/recoveries/{recovery_id}")["undone"] is None
    page.get_by_role("button", name="Undo the recovery").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    report = page.locator("section", has=page.get_by_role("heading", name="Undo"))
    expect(report.locator(".tiles > div")).to_have_text(
        ["restored5", "had not been replaced0", "left alone1"]
    )
    expect(page.locator("tbody tr").first).to_contain_text("undone: 5 restored, 1 left alone")
    report.get_by_text(re.compile("^Why 1 item")).click()
    expect(report.locator("li")).to_contain_text("It has been changed since.")
    assert console.axe() == []
    page.reload()  # the report is the API's, not the page's
    expect(report.locator(".tiles > div").first).to_have_text("restored5")
    expect(page.get_by_role("button", name=re.compile("Undo|undo"))).to_have_count(0)


def test_an_undo_is_repeated_until_it_is_complete(console: Console, api: RealApi) -> None:
    recovery_id = regenerated(api, "to-undo-twice")
    half = {"tasks_left": 80, "restored": 96, "not_replaced": 2, "left_alone": 1}
    first = [{"recovery_id": recovery_id, "complete": False, **half}]
    console.page.route(
        "**/undo", lambda route: route.fulfill(json=first.pop()) if first else route.continue_()
    )
    console.open(f"/recoveries/{recovery_id}")
    console.page.get_by_role("button", name="Undo…").click()
    console.page.get_by_role("button", name="Undo the recovery").click()
    expect(console.page.get_by_role("dialog")).to_have_count(0)
    assert api.send("GET", f"/recoveries/{recovery_id}")["undone"]["restored"] == 6
