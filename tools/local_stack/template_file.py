"""Read CloudFormation templates."""

from pathlib import Path
from typing import Any

import yaml

Template = dict[str, Any]


def read_template(path: Path) -> Template:
    """Read a template, with the short forms of its functions (`!Ref`) expanded."""
    template: Template = yaml.load(path.read_text(), Loader=_TemplateLoader)  # noqa: S506 - a safe loader
    return template


def default_of(template: Template, parameter: str) -> Any:  # noqa: ANN401 - of the parameter's own type
    """The default of a template parameter."""
    return template["Parameters"][parameter]["Default"]


def of_type(template: Template, kind: str) -> dict[str, Any]:
    """The properties of the resources of a type, by logical id."""
    resources = template["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in resources if each["Type"] == kind}


# The parser in C reads the template in a tenth of the time. PyYAML's wheels have it.
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _TemplateLoader(_Loader):  # type: ignore[misc, valid-type]
    """YAML with CloudFormation's tags."""


def _long_form(loader: _TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any = None
    match node:
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _long_form)
# `Version: 2012-10-17` of a policy must stay a string.
_TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
