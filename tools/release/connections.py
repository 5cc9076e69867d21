"""The connections to the database that the functions of a deployment hold at most."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, of_type, read_template

TEMPLATE = REPOSITORY / "template.yaml"
_LOGINS = ("MigratorAccess", "WriterAccess", "ReaderAccess")
"""The policies that let a function log in, each as one role. An environment has one connection per role."""


class Holder(NamedTuple):
    """A function with connections."""

    function: str
    at_once: int
    """The reserved concurrency; 0 if nothing but the account limits it."""

    each: int
    """Connections of an invocation. Its environment keeps them for the next one."""

    @property
    def connections(self) -> int:
        """Connections of all invocations."""
        return self.at_once * self.each


@cache
def our_template() -> Template:
    """The template of this repository, which is read once."""
    return read_template(TEMPLATE)


def holders(parameters: Mapping[str, str], template: Template | None = None) -> list[Holder]:
    """The functions of a deployment that can log in to the database, by default of our template."""
    found, template = [], template or our_template()
    for name, properties in of_type(template, "AWS::Serverless::Function").items():
        role, _ = properties["Role"]["Fn::GetAtt"]
        policies = template["Resources"][role]["Properties"]["ManagedPolicyArns"]
        if each := sum({"Ref": login} in policies for login in _LOGINS):
            at_once = _reserved(properties.get("ReservedConcurrentExecutions"), parameters)
            found.append(Holder(name, at_once, each))
    return found


def _reserved(declared: object, parameters: Mapping[str, str]) -> int:
    match declared:
        case {"Fn::If": ["ReservesRuns", int(number), _]}:
            return number if int(parameters["RunConcurrency"]) else 0
        case {"Fn::If": [_, {"Ref": str(parameter)}, _]}:
            return int(parameters[parameter])
        case _:
            return 0
