"""A client that openapi-python-client generates from docs/openapi.json, used against the local stack."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import counts
from tests.support.http_api import Api
from tests.support.machine import Machine

pytestmark = pytest.mark.nightly

SCRIPT = Path(__file__).with_name("use_generated_client.py")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the generated package. A warning of the generator is an error."""
    folder = tmp_path_factory.mktemp("client") / "roadmap_content_client"
    settings = folder.parent / "settings.yaml"
    settings.write_text("package_name_override: roadmap_content_client\npost_hooks: []\n")
    document = REPOSITORY / "docs" / "openapi.json"
    command: list[str | Path] = [
        *(environment_python("checks"), "-m", "openapi_python_client", "generate", "--meta", "none"),
        *("--path", document, "--config", settings, "--output-path", folder, "--fail-on-warning"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder.parent


def use(generated: Path, machine: Machine) -> dict[str, Any]:
    api = Api.of_operator(machine.target)
    done = subprocess.run(
        [environment_python("checks"), SCRIPT, api.url, api.token, machine.task_id],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(generated)},
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_a_generated_client_reads_previews_and_retries(machine: Machine, generated: Path) -> None:
    ids = machine.load(2)
    machine.stage(Item(ids[0], ContentType.QUIZ), b"{")
    assert machine.run()["status"] == "FAILED"

    used = use(generated, machine)

    assert used["types"] == {
        "me": "Identity",
        "page": "TaskPage",
        "preview": "RetryPreview",
        "started": "RetryAnswer",
        "attempts": "AttemptPage",
        "absent": "Refusal",
        "recovery": "RecoveryPreview",
        "refused": "Unauthorized",
    }
    answers = used["answers"]
    assert [row["task_id"] for row in answers["page"]["items"]] == [machine.task_id]
    assert answers["preview"]["to_generate"] == counts(quiz=1)
    assert (answers["started"]["attempt"], answers["started"]["total_items"]) == (2, 1)
    assert answers["attempts"]["items"][0]["reason"] == "from a generated client"
    assert answers["absent"]["error"] == "ItemNotFound"
    assert answers["recovery"]["tasks"] == 1
