"""`python -m tests.browser.pictures`: take the pictures of the console for README and docs.

The digest of the console's files is stored next to them; a test fails if a picture is older than the page.
They show the tasks of the console's tests: see `tasks.py`.
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.database import migrated_database
from functions.console import app
from local_stack.builds import REPOSITORY
from local_stack.database_roles import DatabaseRoles
from tests.browser.driver import Look, console_in, launch
from tests.browser.real_api import RealApi, real_api
from tests.browser.tasks import LARGE, PARTLY_FAILED, concept, large, make_tasks
from tests.support.pictured import pictured_digest
from tests.support.pipeline import S3

FOLDER = REPOSITORY / "docs/console"
RECORD = FOLDER / "pictures.json"

ITEM = f"?item={concept(PARTLY_FAILED, 2)}&type=quiz"
PICTURES = {
    "task.png": (f"/tasks/{PARTLY_FAILED}{ITEM}", "owner", Look("en", "light", 1280)),
    "map-3000-dark.png": (f"/tasks/{LARGE}", "operator", Look("en", "dark", 1440)),
    "map-3000-zh-360.png": (f"/tasks/{LARGE}", "operator", Look("zh", "light", 360)),
    "failures.png": ("/failures", "operator", Look("en", "light", 1280)),
    "recovery-zh-dark.png": ("/recoveries/", "operator", Look("zh", "dark", 1280)),
}


def main() -> int:
    """Take all pictures, and record their subjects."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    S3.create_bucket(Bucket="content")
    with (
        migrated_database() as url,
        real_api(url, DatabaseRoles(url, url, url)) as api,
        sync_playwright() as playwright,
    ):
        make_tasks(api)
        large(api)
        browser = launch(playwright)
        for name, picture in PICTURES.items():
            take(browser, api, FOLDER / name, *picture)
        browser.close()
    record()
    return 0


def take(browser: Browser, api: RealApi, file: Path, path: str, role: str, look: Look) -> None:
    """Take one picture."""
    with console_in(browser, api.url, look, role) as console:
        console.open(f"{path}{api.recoveries['running']}" if path.endswith("/") else path)
        console.settled()
        if "item=" in path:
            console.page.locator(".drawer mark").first.wait_for()
            console.page.evaluate("scrollTo(0, 0)")
        if "map" in file.name:
            console.page.evaluate("document.getElementById('map-heading').scrollIntoView()")
        console.page.screenshot(path=file)


def record() -> None:
    """Record the digest of the console that the pictures show."""
    pictures = sorted(path.name for path in FOLDER.glob("*.png"))
    RECORD.write_text(
        json.dumps({"console": pictured_digest(app.files), "pictures": pictures}, indent=2) + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
