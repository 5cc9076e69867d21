"""The part of the console that its pictures show."""

import hashlib
import json

from roadmap_content.api.console import StaticFiles


def pictured_digest(files: StaticFiles) -> str:
    """A digest of the page's own files. The runbook, which it also serves, is in no picture."""
    shown = {name: text for name, text in files.files.items() if name != "runbook.md"}
    return hashlib.sha256(json.dumps([files.page.replace(files.digest, ""), shown]).encode()).hexdigest()[:16]
