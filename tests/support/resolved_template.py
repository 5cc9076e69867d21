"""The resources that a template creates for given parameters."""

from collections.abc import Mapping
from typing import Any

from local_stack.template_file import Template

_NO_VALUE = {"Ref": "AWS::NoValue"}


def resources_for(template: Template, given: Mapping[str, str]) -> dict[str, Any]:
    """The resources with a met condition, with `Fn::If` and `Ref`s of parameters replaced."""
    return Evaluation(template, given).resources()


def rules_of(resources: Mapping[str, Any], group: str, direction: str) -> list[dict[str, Any]]:
    """All rules of a security group: those in it, and those that are resources of their own.

    `direction` is `Ingress` or `Egress`.
    """
    inside: list[dict[str, Any]] = resources[group]["Properties"].get(f"SecurityGroup{direction}", [])
    return inside + [
        each["Properties"]
        for each in resources.values()
        if each["Type"] == f"AWS::EC2::SecurityGroup{direction}"
        and each["Properties"]["GroupId"] == {"Fn::GetAtt": [group, "GroupId"]}
    ]


class Evaluation:
    """A template with the values of its parameters."""

    def __init__(self, template: Template, given: Mapping[str, str]) -> None:
        defaults = {name: str(each.get("Default", "")) for name, each in template["Parameters"].items()}
        assert given.keys() <= defaults.keys()
        self._template = template
        self._parameters = defaults | dict(given)

    def resources(self) -> dict[str, Any]:
        """The resources that are created."""
        return {
            name: self.value(resource)
            for name, resource in self._template["Resources"].items()
            if "Condition" not in resource or self.holds({"Condition": resource["Condition"]})
        }

    def value(self, part: Any) -> Any:
        """A part of the template with everything replaced that depends only on parameters."""
        match part:
            case {"Fn::If": [str(name), met, otherwise]}:
                return self.value(met if self.holds({"Condition": name}) else otherwise)
            case {"Ref": str(name)} if name in self._parameters:
                return self._parameters[name]
            case dict():
                return {key: self.value(each) for key, each in part.items() if self.value(each) != _NO_VALUE}
            case list():
                return [value for each in part if (value := self.value(each)) != _NO_VALUE]
            case _:
                return part

    def holds(self, condition: Any) -> bool:
        """Whether a condition, also that of a rule, is met."""
        ((function, operands),) = condition.items()
        match function:
            case "Condition":
                return self.holds(self._template["Conditions"][operands])
            case "Fn::Equals":
                return self._text(operands[0]) == self._text(operands[1])
            case "Fn::EachMemberEquals":
                return all(member == operands[1] for member in self.value(operands[0]).split(","))
            case "Fn::Not":
                return not self.holds(operands[0])
            case "Fn::And":
                return all(map(self.holds, operands))
            case "Fn::Or":
                return any(map(self.holds, operands))
            case other:
                raise AssertionError(other)

    def _text(self, part: Any) -> str:
        """A compared value. A list is compared after it was joined."""
        match part:
            case {"Fn::Join": [str(separator), {"Ref": str(name)}]}:
                return separator.join(self._parameters[name].split(","))
            case _:
                return str(self.value(part))
