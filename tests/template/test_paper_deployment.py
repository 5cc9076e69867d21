"""A stranger deploys on paper: docs/deploy.md is followed line by line, and names its prerequisites.

A shell and the real AWS CLI follow the commands. Where the page says `make preflight` and `make deploy`,
samconfig.toml is filled in with the values that the page asks for, a prepared account is read, and the real
SAM CLI gets the result.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from checks.template.deployments import EXAMPLES
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from release.__main__ import deploy_command
from release.artifact import Artifact
from release.configuration import CONFIGURATION, overrides_in, stack_in
from release.errors import ReleaseError
from release.preflight.problem import Target
from release.preflight.report import problems_of
from release.stamp import parameters_of, release_of, require_filled_in
from tests.support.prepared_account import AWS, CLIENTS, LOGIN, prepared
from tests.template.following import Followed, follow, one_line, statements
from tests.template.sam_cli import DeployOptions

PAGE = (REPOSITORY / "docs/deploy.md").read_text()
TEMPLATE = read_template(REPOSITORY / "template.yaml")
MODEL = EXAMPLES["ModelArns"].partition(",")[0]


def filled_in(environment: str) -> dict[str, str]:
    """The environment's parameters, with a value for each placeholder that the page names."""
    overrides = overrides_in(CONFIGURATION, environment)
    placeholders = {name for name, value in overrides.items() if value.startswith("<")}
    assert placeholders
    assert {name for name in placeholders if f"`{name}`" not in PAGE} == set()
    return overrides | {name: EXAMPLES[name] for name in placeholders}


def secret(request: Mapping[str, Any]) -> dict[str, str]:
    (role,) = (each for each in ("migrator", "writer", "reader") if each in request["SecretId"])
    return {"SecretString": json.dumps({**LOGIN, "username": f"roadmap_{role}"})}


def preflight(environment: str) -> None:
    """`make preflight`, in an account that is prepared according to the page."""
    parameters = parameters_of(TEMPLATE, filled_in(environment))
    model = {"modelDetails": {"modelArn": MODEL, "modelId": EXAMPLES["ModelId"]}}
    AWS.answer_with(
        prepared() | {"secretsmanager.GetSecretValue": secret, "bedrock.GetFoundationModel": model}
    )
    target = Target(stack_in(CONFIGURATION, environment), "eu-central-1", parameters)
    assert list(problems_of(CLIENTS, target)) == []


def deploy(environment: str, folder: Path, read_deploy_options: DeployOptions) -> None:
    """`make deploy`, up to the real SAM CLI, which asks for nothing."""
    overrides = filled_in(environment)
    parameters = parameters_of(TEMPLATE, overrides)
    require_filled_in(parameters)
    build = folder / environment
    build.mkdir()
    (build / "template.json").write_text(json.dumps(TEMPLATE))
    built = Artifact(build / "template.json", "c1", parameters["Architecture"])
    command = deploy_command(built, environment, overrides, release_of("c1", parameters), ask=False)
    options = read_deploy_options(command, folder)
    assert (options["guided"], options["confirm_changeset"]) == (False, False)
    required = {name for name, each in TEMPLATE["Parameters"].items() if "Default" not in each}
    assert required <= options["parameter_overrides"].keys()
    assert options["parameter_overrides"] == overrides


@pytest.fixture(scope="module")
def followed(cli: Path) -> Followed:
    return follow(cli, "deployment", PAGE)


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_a_stranger_deploys_by_following_the_page_line_by_line(
    environment: str, followed: Followed, tmp_path: Path, read_deploy_options: DeployOptions
) -> None:
    followed.require_success()
    executed = [one_line(each["sql"]) for each in followed.sent("rds-data.ExecuteStatement")]
    login = "GRANT rds_iam TO roadmap_migrator, roadmap_writer, roadmap_reader"
    assert executed == [*statements("database/roles.sql"), login]

    done = []
    for operation, parameters in followed.requests:
        match (operation, parameters.get("words", "").split()):
            case ("make", ["preflight", "ENV=prod"]):
                preflight(environment)
                done.append("preflight")
            case ("make", ["deploy", "ENV=prod"]):
                deploy(environment, tmp_path, read_deploy_options)
                done.append("deploy")
            case ("apigateway.UpdateAccount" | "secretsmanager.CreateSecret" | "roadmap", _):
                done.append(operation)
    assert done == [
        "apigateway.UpdateAccount",
        *["secretsmanager.CreateSecret"] * 3,
        "preflight",
        "deploy",
        *["roadmap"] * 2,
    ], "each step has what the steps before it created"


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_a_forgotten_placeholder_is_named_before_anything_is_built(environment: str) -> None:
    with pytest.raises(ReleaseError, match=r"samconfig\.toml has no value yet for .*JwtIssuer, JwtAudience"):
        require_filled_in(parameters_of(TEMPLATE, overrides_in(CONFIGURATION, environment)))
