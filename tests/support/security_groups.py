"""The rules of security groups in a template."""

from collections.abc import Mapping
from typing import Any


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
