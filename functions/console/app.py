"""Lambda of the console: serves its static files. It has no data; the page calls the API."""

import os
from pathlib import Path
from typing import Any

from roadmap_content.api.console import ConsoleSettings, StaticFiles


def load() -> StaticFiles:
    """Read the page (console/), and insert the sign-in settings into it and the content security policy."""
    settings = ConsoleSettings.from_environment(os.environ)
    policy = {
        "default-src": "'self'",
        "connect-src": " ".join(["'self'", *settings.origins]),
        "img-src": f"'self' {settings.pictures}".strip(),
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return StaticFiles.load(
        Path(__file__).parent / "page",
        values=vars(settings),
        headers={
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Strict-Transport-Security": "max-age=31536000",
            "X-Content-Type-Options": "nosniff",
        },
    )


files = load()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a request from API Gateway for the page or one of its files."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    asset = (event.get("pathParameters") or {}).get("asset")
    if asset is None:
        # Without the trailing slash, the page's relative addresses would be wrong.
        if not event["path"].endswith("/"):
            return files.redirect("console/")
        asset = ""
    return files.answer(asset, if_none_match=headers.get("if-none-match"))
