"""The sections of a document."""

import re

from local_stack.builds import REPOSITORY


def anchors(path: str) -> set[str]:
    """The anchors of a document's headings, as on GitHub."""
    headings = re.findall(r"^#+ (.+)$", (REPOSITORY / path).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
