"""`python -m tests.browser.pictures`: take the pictures of the console for README and docs.

The digest of the console's files is stored next to them; a test fails if a picture is older than the page.
The task is the demo's, on the real stack; 3,000 concepts, failures and a recovery are generated data.
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from functions.console import app
from local_stack.builds import LOCAL, REPOSITORY
from local_stack.stack import LocalStack
from roadmap_command.demo import PARAMETERS, demo_bundle, load_the_report, run_with_faults, the_report
from roadmap_command.target import Target
from tests.browser.driver import Look, console_in, launch
from tests.browser.fake_api import fake_api, token_of
from tests.browser.fake_data import task_id
from tests.support.pictured import pictured_digest

FOLDER = REPOSITORY / "docs/console"
RECORD = FOLDER / "pictures.json"

GENERATED = {
    "map-3000-dark.png": (f"/tasks/{task_id(2)}", Look("en", "dark", 1440)),
    "map-3000-zh-360.png": (f"/tasks/{task_id(2)}", Look("zh", "light", 360)),
    "failures.png": ("/failures", Look("en", "light", 1280)),
    "recovery-zh-dark.png": ("/recoveries/rec-0", Look("zh", "dark", 1280)),
}


def main() -> int:
    """Take all pictures, and record their subjects."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        with LocalStack.start(LOCAL / "pictures", parameters=PARAMETERS, fsync=False) as stack:
            take_the_demo(browser, stack, FOLDER)
        take_the_generated(browser, FOLDER)
        browser.close()
    record()
    return 0


def take_the_demo(browser: Browser, stack: LocalStack, folder: Path) -> None:
    """The demo's task after its first run; one of its missing items is open."""
    target, bundle = Target.local(stack), demo_bundle()
    run_with_faults(target, stack.database_url, bundle)
    load_the_report(target, the_report(bundle))
    target.engine.dispose()
    concept = next(iter(bundle.content)).concept_id
    with console_in(browser, stack.api_url, Look("en", "light", 1280)) as console:
        console.page.goto(stack.console_link(bundle.task.user_id, scope=""))
        console.open(f"/tasks/{bundle.task.task_id}?item={concept}&type=tutorial")
        console.page.locator(".drawer .json").first.wait_for()
        console.page.screenshot(path=folder / "task.png")


def take_the_generated(browser: Browser, folder: Path) -> None:
    """The pictures that need more tasks than the demo has."""
    with fake_api() as url:
        for name, (path, look) in GENERATED.items():
            with console_in(browser, url, look) as console:
                console.open(path, token_of("operator"))
                console.settled()
                if name.startswith("map"):
                    console.page.evaluate("document.getElementById('map-heading').scrollIntoView()")
                console.page.screenshot(path=folder / name)


def record() -> None:
    """Record the digest of the console that the pictures show."""
    pictures = sorted(path.name for path in FOLDER.glob("*.png"))
    RECORD.write_text(
        json.dumps({"console": pictured_digest(app.files), "pictures": pictures}, indent=2) + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
