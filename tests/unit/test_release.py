"""The name of a release, and its parameters."""

from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from release.configuration import overrides_in
from release.errors import ReleaseError
from release.stamp import parameters_of, release_of, require_filled_in, stamped

TEMPLATE = {"Parameters": {"Given": {}, "Kept": {"Default": 7}}}


def test_parameters_are_the_given_ones_and_the_defaults_of_the_others() -> None:
    assert parameters_of(TEMPLATE, {"Given": "x"}) == {"Given": "x", "Kept": "7"}


def test_the_error_contains_a_parameter_that_is_not_in_the_template() -> None:
    with pytest.raises(ReleaseError, match="no parameter Giben"):
        parameters_of(TEMPLATE, {"Giben": "x"})


def test_a_release_differs_with_its_commit_and_with_each_parameter() -> None:
    releases = {release_of(commit, {"A": a, "B": "1"}) for commit in ("c1", "c2") for a in ("1", "2")} | {
        release_of("c1", {"B": "1", "A": "1"})
    }
    assert len(releases) == 4
    assert all(release.startswith(("c1-", "c2-")) for release in releases)


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
