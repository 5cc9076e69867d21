"""The name of a release, and its parameters."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from release.clients import clients_of
from release.configuration import overrides_in
from release.errors import ReleaseError
from release.preflight.stack import rollback_of
from release.stamp import parameters_of, release_of, require_filled_in, stamped
from tests.support.recorded_aws import RecordedAws

TEMPLATE = {"Parameters": {"Given": {}, "Kept": {"Default": 7}}}


def test_parameters_are_the_given_ones_and_the_defaults_of_the_others() -> None:
    assert parameters_of(TEMPLATE, {"Given": "x"}) == {"Given": "x", "Kept": "7"}


def test_the_error_contains_a_parameter_that_is_not_in_the_template() -> None:
    with pytest.raises(ReleaseError, match="no parameter Giben"):
        parameters_of(TEMPLATE, {"Giben": "x"})


def test_a_release_differs_with_its_commit_and_with_each_parameter() -> None:
    template = {"Resources": {"Schema": {"Properties": {"Settings": [{"Ref": "A"}]}}}}
    releases = {
        release_of(commit, template, {"A": a, "B": b}) for commit in ("c1", "c2") for a in "12" for b in "12"
    }
    assert len(releases) == 4, "B is in no version of a function"
    assert all(release.startswith(("c1-", "c2-")) for release in releases)


def test_a_release_that_was_rolled_back_gets_another_name_once_for_each_rollback() -> None:
    template = read_template(REPOSITORY / "template.yaml")
    aws, minute = RecordedAws(), iter(range(60))
    clients = clients_of(aws.session)

    def name_after(status: str) -> str:
        aws.answer_with({"cloudformation.DescribeStacks": {"Stacks": [stack(status, next(minute))]}})
        return release_of("c1", template, parameters_of(template, {}), rollback_of(clients, "s"))

    updated = {name_after("UPDATE_COMPLETE") for _ in range(2)}
    rolled_back = {name_after("UPDATE_ROLLBACK_COMPLETE") for _ in range(2)}
    assert (len(updated), len(rolled_back)) == (1, 2)
    assert updated.isdisjoint(rolled_back)


def stack(status: str, minute: int) -> dict[str, Any]:
    at = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    return {"StackName": "s", "StackStatus": status, "CreationTime": at, "LastUpdatedTime": at}


def test_both_forms_of_overrides_are_read(tmp_path: Path) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(
        '[a.deploy.parameters]\nparameter_overrides = "A=1 B=\\"x y\\""\n'
        '[b.deploy.parameters]\nparameter_overrides = ["A=1", "B=\\"x y\\""]\n[c.build]\n'
    )
    assert overrides_in(path, "a") == overrides_in(path, "b") == {"A": "1", "B": "x y"}
    assert overrides_in(path, "c") == {}
    with pytest.raises(ReleaseError, match="only a, b, c"):
        overrides_in(path, "d")


def test_the_release_is_written_into_functions_and_the_schema() -> None:
    template = read_template(REPOSITORY / "template.yaml")
    changed = stamped(template, "r-1")
    assert changed["Globals"]["Function"]["Environment"]["Variables"]["RELEASE"] == "r-1"
    assert changed["Resources"]["Schema"]["Properties"]["Release"] == "r-1"
    assert template["Resources"]["Schema"]["Properties"]["Release"] == "unreleased"


def test_placeholders_are_not_deployed(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="JwtIssuer, ModelId"):
        require_filled_in(
            {"JwtIssuer": "<https://issuer.example>", "ModelId": "<id>", "Generator": "bedrock"}
        )
    require_filled_in({"JwtIssuer": "https://issuer.example"})
