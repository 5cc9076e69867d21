"""Check the environment variables that each function reads against those that are set for it."""

from collections.abc import Iterator

from local_stack.template_file import Template

from .declared import functions_in
from .findings import Finding
from .reachable import reached_by


def check_variables(template: Template) -> Iterator[Finding]:
    """Check that every variable that a function reads is set, and every variable set only for it is read."""
    for function in functions_in(template):
        settings = reached_by(function.name).settings
        for name in sorted(settings - function.variables):
            yield Finding(function.logical_id, f"{name} is read and not set")
        for name in sorted(function.own_variables - settings):
            yield Finding(function.logical_id, f"{name} is set and not read")
