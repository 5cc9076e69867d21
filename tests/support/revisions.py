"""The revisions of migrations, read from their files without Alembic."""

import re

from local_stack.builds import REPOSITORY


def newest_revision() -> str:
    """The last revision of `migrations/`."""
    folder = REPOSITORY / "migrations/versions"
    declared = "\n".join(path.read_text() for path in folder.glob("*.py"))
    revisions: set[str] = set(re.findall(r'^revision = "(\w+)"', declared, re.MULTILINE))
    (head,) = revisions - set(re.findall(r'^down_revision = "(\w+)"', declared, re.MULTILINE))
    return head
