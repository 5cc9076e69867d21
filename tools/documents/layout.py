"""The layout of generated JSON: a value that fits on one line is on one line."""

import json
from typing import Any

WIDTH = 110


def laid_out(document: Any) -> str:  # noqa: ANN401 - JSON
    """A document as JSON, with a line of at most `WIDTH` characters for each value that fits on one.

    A list of numbers is on one line, however long.
    """
    return _value(document, indent=0, used=0) + "\n"


def _value(node: Any, indent: int, used: int) -> str:  # noqa: ANN401 - JSON
    """A value, of which the first line has `used` characters before it and may need a comma after it."""
    line = _line(node)
    if not (isinstance(node, dict | list) and node) or used + len(line) < WIDTH:
        return line
    margin = " " * (indent + 2)
    end = "\n" + " " * indent
    if isinstance(node, dict):
        parts = []
        for key, each in node.items():
            start = f"{margin}{_line(key)}: "
            parts.append(start + _value(each, indent + 2, len(start)))
        return "{\n" + ",\n".join(parts) + end + "}"
    if all(isinstance(each, int | float) for each in node):
        return line
    if all(isinstance(each, str) for each in node):
        return "[\n" + "\n".join(_filled([_line(each) for each in node], margin)) + end + "]"
    return "[\n" + ",\n".join(margin + _value(each, indent + 2, indent + 2) for each in node) + end + "]"


def _line(node: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(node, ensure_ascii=False)


def _filled(parts: list[str], margin: str) -> list[str]:
    """Lines with as many parts as fit on each."""
    lines = [margin + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 2 < WIDTH:
            lines[-1] += f", {part}"
        else:
            lines[-1] += ","
            lines.append(margin + part)
    return lines
