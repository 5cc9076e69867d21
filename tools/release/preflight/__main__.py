"""`python -m release.preflight ENVIRONMENT`: name everything that a deployment lacks in the account.

It calls only operations that read. Exit codes: 0, 1 (something is wrong), 3 (AWS cannot be reached).
"""

import boto3

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template

from ..clients import clients_of
from ..command import run
from ..configuration import CONFIGURATION, overrides_in, settings_in, stack_in
from ..stamp import parameters_of, require_filled_in
from .problem import Target
from .report import require_prepared


def preflight(environment: str) -> None:
    """Read the account for an environment of samconfig.toml, and change nothing."""
    overrides = overrides_in(CONFIGURATION, environment)
    parameters = parameters_of(read_template(REPOSITORY / "template.yaml"), overrides)
    require_filled_in(settings_in(CONFIGURATION, environment) | parameters)
    session = boto3.Session()
    target = Target(stack_in(CONFIGURATION, environment), session.region_name or "", parameters)
    require_prepared(target, clients_of(session))


if __name__ == "__main__":
    run(preflight)
