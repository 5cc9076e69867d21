"""The layout of generated JSON: whatever fits on a line is on one line, so that a schema can be read at a glance."""

import json
from typing import Any

WIDTH = 110


def laid_out(document: Any) -> str:  # noqa: ANN401 - JSON
    """A document as JSON, with a line of at most `WIDTH` characters for each value that fits on one."""
    return _value(document, indent=0, used=0) + "\n"


def _value(node: Any, indent: int, used: int) -> str:  # noqa: ANN401 - JSON
    """A value, of which the first line has `used` characters before it and may need a comma after it."""
    line = json.dumps(node, ensure_ascii=False)
    if not (isinstance(node, dict | list) and node) or used + len(line) < WIDTH:
        return line
    margin = " " * (indent + 2)
    if isinstance(node, list):
        parts = [margin + _value(each, indent + 2, indent + 2) for each in node]
        return "[\n" + ",\n".join(parts) + "\n" + " " * indent + "]"
    parts = []
    for key, each in node.items():
        start = f"{margin}{json.dumps(key, ensure_ascii=False)}: "
        parts.append(start + _value(each, indent + 2, len(start)))
    return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
