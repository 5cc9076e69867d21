"""The templates, which each process reads once. No test may change them."""

import json
from typing import Any

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")


def of_type(template: Template, kind: str) -> dict[str, Any]:
    """The properties of the resources of a type, by logical id."""
    return {
        name: each.get("Properties", {})
        for name, each in template["Resources"].items()
        if each["Type"] == kind
    }


FUNCTIONS = of_type(STACK, "AWS::Serverless::Function")


def behind_the_api() -> set[str]:
    """The functions that API Gateway invokes."""
    (api,) = of_type(STACK, "AWS::Serverless::Api").values()
    return {
        name
        for name, each in FUNCTIONS.items()
        if name in json.dumps(api["Auth"])
        or any(event["Type"] == "Api" for event in each.get("Events", {}).values())
    }
