"""`python -m benchmarks.output_tokens BUNDLE.json…`: the longest items of bundles, and the limits of answers.

A token is estimated as four characters, or as one Chinese character.
"""

import argparse
import json
import re
from pathlib import Path

from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.registry import CONTENT_KINDS

_CHINESE = re.compile("[\u3000-\u9fff\uff00-\uffef]")


def tokens_of(content: object) -> int:
    """The estimated tokens of a content."""
    text = json.dumps(content, ensure_ascii=False)
    chinese = len(_CHINESE.findall(text))
    return chinese + (len(text) - chinese) // 4


def main() -> None:
    """Print a line for each content type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    entries = [
        entry for bundle in parser.parse_args().bundles for entry in json.loads(bundle.read_text())["content"]
    ]
    most = default_of(read_template(REPOSITORY / "template.yaml"), "ModelMaxOutputTokens")
    for content_type, kind in CONTENT_KINDS.items():
        found = [tokens_of(entry[content_type]) for entry in entries if content_type in entry]
        print(  # noqa: T201
            f"{content_type}: {len(found)} items, the longest about {max(found, default=0)} tokens; "
            f"limit {most * kind.output_share:.0f}"
        )


if __name__ == "__main__":
    main()
