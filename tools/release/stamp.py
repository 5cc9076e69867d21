"""Write a release (a commit with parameters) into the template, so that SAM publishes every function.

SAM derives a function's version from a hash of its definition in the template, before parameters are
resolved, so a changed parameter does not change the hash. The release is a literal in the definition.
"""

import copy
import hashlib
import json
from collections.abc import Mapping

from local_stack.template_file import Template

from .errors import ReleaseError


def parameters_of(template: Template, overrides: Mapping[str, str]) -> dict[str, str]:
    """All parameters of a template: those that are given, and the defaults of the others.

    Raises:
        ReleaseError: the template has no parameter of a given name.
    """
    declared = template["Parameters"]
    if unknown := overrides.keys() - declared.keys():
        raise ReleaseError(f"the template has no parameter {', '.join(sorted(unknown))}")
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in declared.items()}
    return defaults | dict(overrides)


def require_filled_in(settings: Mapping[str, object]) -> None:
    """Refuse a deployment with the placeholders of samconfig.toml.

    Raises:
        ReleaseError: contains the settings and parameters with a placeholder as value.
    """
    if placeholders := [name for name, value in settings.items() if str(value).startswith("<")]:
        raise ReleaseError(f"samconfig.toml has no value yet for {', '.join(placeholders)}")


def release_of(commit: str, template: Template, parameters: Mapping[str, str], rolled_back: str = "") -> str:
    """The name of a release: its commit, and a hash of the parameters in the versions of its functions.

    A change of another parameter, such as an alarm's, publishes nothing. `rolled_back` identifies the
    rollback that the deployment follows. CloudFormation has kept the versions of the release that was rolled
    back, and Lambda does not publish the same code and settings again, so the same release must differ.
    """
    names = [each["Ref"] for each in template["Resources"]["Schema"]["Properties"]["Settings"]]
    identity = [{name: parameters.get(name, "") for name in names}, rolled_back]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{commit}-{digest[:10]}"


def stamped(template: Template, release: str) -> Template:
    """The template with the release, in every function and in the schema resource, which migrates again."""
    changed = copy.deepcopy(template)
    changed["Globals"]["Function"]["Environment"]["Variables"]["RELEASE"] = release
    changed["Resources"]["Schema"]["Properties"]["Release"] = release
    return changed
