"""Apply parameters to a template as CloudFormation does: conditions, parameters and mappings."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from local_stack.template_file import Template

_ABSENT = object()
_PLACEHOLDER = re.compile(r"\$\{([^!}]+)\}")


def concrete(template: Template, parameters: Mapping[str, str], stack_name: str) -> Template:
    """The resources and outputs that exist with these parameters, their values resolved.

    References to resources are kept.
    """
    resolver = _Resolver(template, parameters, stack_name)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": resolver.existing(template["Resources"]),
        "Outputs": resolver.existing(template.get("Outputs", {})),
    }


def references(part: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a template
    """The logical ids in a part of a concrete template."""
    match part:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from (name.partition(".")[0] for name in _PLACEHOLDER.findall(text))
        case {"Fn::Sub": [str(text), dict(variables)]}:
            yield from (
                name.partition(".")[0] for name in _PLACEHOLDER.findall(text) if name not in variables
            )
            yield from references(variables)
        case dict():
            for value in part.values():
                yield from references(value)
        case list():
            for value in part:
                yield from references(value)


class _Resolver:
    def __init__(self, template: Template, parameters: Mapping[str, str], stack_name: str) -> None:
        self._conditions = template.get("Conditions", {})
        self._mappings = template.get("Mappings", {})
        self._values: dict[str, Any] = {
            "AWS::AccountId": "123456789012",
            "AWS::NoValue": _ABSENT,
            "AWS::Partition": "aws",
            "AWS::Region": "eu-central-1",
            "AWS::StackName": stack_name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        for name, declared in template.get("Parameters", {}).items():
            given = parameters.get(name, str(declared.get("Default", "")))
            is_list = declared["Type"] == "CommaDelimitedList"
            self._values[name] = given.split(",") if is_list else given

    def existing(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """The parts that exist: those without a condition, or with one that holds."""
        return {
            name: {key: self._resolve(value) for key, value in part.items() if key != "Condition"}
            for name, part in parts.items()
            if "Condition" not in part or self._holds({"Condition": part["Condition"]})
        }

    def _holds(self, condition: Any) -> bool:  # noqa: ANN401
        match condition:
            case {"Condition": str(name)}:
                return self._holds(self._conditions[name])
            case {"Fn::Equals": [one, other]}:
                return str(self._resolve(one)) == str(self._resolve(other))
            case {"Fn::Not": [negated]}:
                return not self._holds(negated)
            case {"Fn::And": list(parts)}:
                return all(map(self._holds, parts))
            case {"Fn::Or": list(parts)}:
                return any(map(self._holds, parts))
            case {"Fn::EachMemberEquals": [members, value]}:
                return all(member == value for member in self._resolve(members))
        raise NotImplementedError(f"the condition {condition}")

    def _resolve(self, part: Any) -> Any:  # noqa: ANN401
        match part:
            case {"Ref": str(name)}:
                return self._values.get(name, part)
            case {"Fn::If": [str(name), so, otherwise]}:
                return self._resolve(so if self._holds({"Condition": name}) else otherwise)
            case {"Fn::FindInMap": [str(name), first, second]}:
                return self._mappings[name][self._resolve(first)][self._resolve(second)]
            case {"Fn::Join": [str(separator), parts]}:
                return _joined(separator, self._resolve(parts))
            case {"Fn::Sub": str(text)}:
                return self._substituted(text, {})
            case {"Fn::Sub": [str(text), dict(variables)]}:
                return self._substituted(text, variables)
            case dict():
                resolved = {key: self._resolve(value) for key, value in part.items()}
                return {key: value for key, value in resolved.items() if value is not _ABSENT}
            case list():
                return [value for value in map(self._resolve, part) if value is not _ABSENT]
        return part

    def _substituted(self, text: str, variables: Mapping[str, Any]) -> Any:  # noqa: ANN401
        values = self._values | {name: self._resolve(value) for name, value in variables.items()}
        text = _PLACEHOLDER.sub(
            lambda found: value if isinstance(value := values.get(found[1]), str) else found[0], text
        )
        names = _PLACEHOLDER.findall(text)
        if not names:
            return text
        left = {name: values[name] for name in names if name in variables}
        return {"Fn::Sub": [text, left]} if left else {"Fn::Sub": text}


def _joined(separator: str, parts: Any) -> Any:  # noqa: ANN401
    if all(isinstance(part, str) for part in parts):
        return separator.join(parts)
    return {"Fn::Join": [separator, parts]}
