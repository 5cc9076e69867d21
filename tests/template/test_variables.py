"""A setting that is read and not set, or set and not read, is found."""

from checks.template.variables import check_variables
from local_stack.template_file import Template


def test_the_template_sets_what_is_read(template: Template) -> None:
    assert list(check_variables(template)) == []


def test_a_setting_that_is_not_set_is_named_with_its_function(template: Template) -> None:
    del template["Resources"]["PlanBatchesFunction"]["Properties"]["Environment"]["Variables"]["BATCH_SIZE"]
    assert [str(finding) for finding in check_variables(template)] == [
        "PlanBatchesFunction: BATCH_SIZE is read and not set"
    ]


def test_a_setting_of_all_that_is_not_set_is_missed_by_those_that_read_it(template: Template) -> None:
    del template["Globals"]["Function"]["Environment"]["Variables"]["DATABASE_TLS"]
    places = {finding.place for finding in check_variables(template)}
    functions = {name for name in template["Resources"] if name.endswith("Function")}
    assert places == functions - {"AuthorizeRequestFunction"}


def test_a_setting_that_nobody_reads_is_named(template: Template) -> None:
    template["Resources"]["SaveBatchFunction"]["Properties"]["Environment"]["Variables"]["BATCH_SIZE"] = "25"
    assert [str(finding) for finding in check_variables(template)] == [
        "SaveBatchFunction: BATCH_SIZE is set and not read"
    ]
