"""The templates, which each process reads once. No test may change them."""

from typing import Any

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")


def of_type(template: Template, kind: str) -> dict[str, Any]:
    """The properties of a template's resources of a type, by logical id."""
    return {
        name: each.get("Properties", {})
        for name, each in template["Resources"].items()
        if each["Type"] == kind
    }
