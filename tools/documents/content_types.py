"""Write the console's modules of the content types and their names, and of the error codes' sentences."""

import json

from local_stack.builds import REPOSITORY
from roadmap_content.content.kind import Names
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.reasons import SENTENCES

FILE = REPOSITORY / "console" / "content-types.js"
REASONS = REPOSITORY / "console" / "reasons.js"


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


def reasons() -> str:
    """The module of the sentences of error codes, in English."""
    table = json.dumps(SENTENCES, indent=2)
    return f"""\
// What an error code means. Written by `make openapi`.

/** @type {{Record<string, string>}} */
export const REASONS = {table};
"""


if __name__ == "__main__":
    FILE.write_text(module())
    REASONS.write_text(reasons())
