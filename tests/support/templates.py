"""The templates, which each process reads once. No test may change them."""

import json

from local_stack.builds import REPOSITORY
from local_stack.template_file import of_type, read_template

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")


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
