"""Functions that log in to the database have a limit, in each environment that limits the saver."""

from checks.template.deployments import environments_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template
from release.connections import holders


def test_every_function_that_logs_in_has_a_reservation_where_save_has_one(template: Template) -> None:
    reserving = []
    for deployed in environments_of(template, REPOSITORY / "samconfig.toml"):
        at_once = {each.function: each.at_once for each in holders(deployed.parameters, template)}
        if at_once["SaveBatchFunction"]:
            reserving.append(deployed.name)
            assert all(at_once.values()), deployed.name
    assert reserving == ["prod", "staging"]
