"""The check of the connections finds a function that logs in and that nothing limits."""

from checks.template.connections import check_connections
from checks.template.deployments import environments_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template


def test_a_function_without_a_reservation_is_found_in_each_environment_that_reserves(
    template: Template,
) -> None:
    environments = list(environments_of(template, REPOSITORY / "samconfig.toml"))
    assert list(check_connections(template, environments)) == []
    del template["Resources"]["FinalizeTaskFunction"]["Properties"]["ReservedConcurrentExecutions"]
    found = [finding.place for finding in check_connections(template, environments)]
    assert found == ["prod: FinalizeTaskFunction", "staging: FinalizeTaskFunction"]
