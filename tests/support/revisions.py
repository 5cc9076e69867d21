"""The revisions of migrations, read from their files without Alembic."""

import re
from pathlib import Path

from local_stack.builds import REPOSITORY


def head_of(folder: Path = REPOSITORY / "migrations") -> str:
    """The newest revision of migrations in a folder."""
    declared = "\n".join(path.read_text() for path in (folder / "versions").glob("*.py"))
    revisions: set[str] = set(re.findall(r'^revision = "(\w+)"', declared, re.MULTILINE))
    (head,) = revisions - set(re.findall(r'^down_revision = "(\w+)"', declared, re.MULTILINE))
    return head
