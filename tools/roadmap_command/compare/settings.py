"""The settings of a model that this machine asks as a deployed function would."""

import os
from functools import cache

from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, of_type, read_template
from roadmap_content.platform.runtime.settings import Settings


def settings_for(model_id: str | None, region: str | None) -> Settings:
    """The settings of a deployed function, with this machine's credentials, and its region by default."""
    options = {"MODEL_ID": model_id, "MODEL_REGION": region}
    of_this_machine = {"MODEL_REGION": os.environ.get("AWS_REGION", "")} | dict(os.environ)
    return Settings(_defaults() | of_this_machine | {name: value for name, value in options.items() if value})


@cache
def _defaults() -> dict[str, str]:
    """The variables of the function that generates that have the value of a parameter with a default."""
    template = read_template(REPOSITORY / "template.yaml")
    function = of_type(template, "AWS::Serverless::Function")["GenerateContentFunction"]
    parameters = {
        name: value["Ref"] for name, value in function["Environment"]["Variables"].items() if "Ref" in value
    }
    return {name: str(default_of(template, parameter)) for name, parameter in parameters.items()}
