"""Write the console's module of the content types, and of their names, from the registry."""

import json

from local_stack.builds import REPOSITORY
from roadmap_content.content.kind import Names
from roadmap_content.content.registry import CONTENT_KINDS

FILE = REPOSITORY / "console" / "content-types.js"


def module() -> str:
    """The module: `TYPES`, in the order of the letters of `states`, and `NAMES` by language."""
    names = {
        language: {
            form: {kind.content_type: getattr(kind.names[language], form) for kind in CONTENT_KINDS.values()}
            for form in Names._fields
        }
        for language in ("en", "zh")
    }
    return f"""\
// The content types and their names. Written by `make openapi`.

export const TYPES = /** @type {{const}} */ ({json.dumps(list(CONTENT_KINDS))});

export const NAMES = {json.dumps(names, ensure_ascii=False)};
"""


if __name__ == "__main__":
    FILE.write_text(module())
