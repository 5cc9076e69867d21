"""Settings that are read but not set, or set but not read, are detected."""

from checks.template.variables import check_variables
from local_stack.template_file import Template


def test_the_template_sets_exactly_the_settings_that_are_read(template: Template) -> None:
    assert list(check_variables(template)) == []
