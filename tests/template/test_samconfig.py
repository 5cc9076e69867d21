"""The SAM CLI knows every setting of samconfig.toml. It ignores others without a message."""

import json
import subprocess
import tomllib
from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python

CONFIGURATION: dict[str, Any] = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())
ENVIRONMENTS = sorted(CONFIGURATION.keys() - {"version"})
COMMANDS = ("build", "deploy", "sync", "validate")
SCRIPT = """
import importlib, json, sys
options = {}
for name in sys.argv[1:]:
    module = "validate.validate" if name == "validate" else f"{name}.command"
    command = importlib.import_module(f"samcli.commands.{module}").cli
    options[name] = {each.name: each.default for each in command.params}
print(json.dumps(options, default=str))
"""


@pytest.fixture(scope="module")
def options() -> dict[str, dict[str, Any]]:
    """The options of SAM's commands, with their defaults."""
    done = subprocess.run(
        [environment_python("sam"), "-c", SCRIPT, *COMMANDS], capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_setting_is_an_option_of_its_command(
    options: dict[str, dict[str, Any]], environment: str
) -> None:
    for command, section in CONFIGURATION[environment].items():
        allowed = {"stack_name"} if command == "global" else options[command].keys()
        assert section["parameters"].keys() <= allowed, command


def test_sync_may_update_a_stack_and_keeps_its_tags(options: dict[str, dict[str, Any]]) -> None:
    """It updates the stack without a change set: this needs CAPABILITY_AUTO_EXPAND and replaces the tags."""
    synced = CONFIGURATION["dev"]["sync"]["parameters"]
    capabilities = synced.get("capabilities", options["sync"]["capabilities"])
    assert "CAPABILITY_AUTO_EXPAND" in capabilities
    assert any(each in ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM") for each in capabilities)
    assert synced["tags"] == CONFIGURATION["dev"]["deploy"]["parameters"]["tags"]
