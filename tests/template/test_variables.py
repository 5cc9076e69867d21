"""Settings that are read but not set, or set but not read, are detected."""

from checks.template.variables import check_variables
from local_stack.template_file import Template


def test_the_template_sets_exactly_the_settings_that_are_read(template: Template) -> None:
    assert list(check_variables(template)) == []


def test_a_missing_setting_is_reported_with_its_function(template: Template) -> None:
    del template["Resources"]["PlanBatchesFunction"]["Properties"]["Environment"]["Variables"]["BATCH_SIZE"]
    assert [str(finding) for finding in check_variables(template)] == [
        "PlanBatchesFunction: BATCH_SIZE is read and not set"
    ]


def test_a_missing_global_setting_is_reported_for_each_function_that_reads_it(template: Template) -> None:
    del template["Globals"]["Function"]["Environment"]["Variables"]["DATABASE_TLS"]
    places = {finding.place for finding in check_variables(template)}
    functions = {name for name in template["Resources"] if name.endswith("Function")}
    assert places == functions - {"AuthorizeRequestFunction", "CheckLinksFunction", "ConsoleFunction"}


def test_an_unused_setting_is_reported(template: Template) -> None:
    template["Resources"]["SaveBatchFunction"]["Properties"]["Environment"]["Variables"]["BATCH_SIZE"] = "25"
    assert [str(finding) for finding in check_variables(template)] == [
        "SaveBatchFunction: BATCH_SIZE is set and not read"
    ]
