"""Write the plan of the sample roadmap, and its first batch, into the events of the steps after a plan."""

import json
from pathlib import Path
from typing import Any

from local_stack.builds import REPOSITORY
from roadmap_command.demo import SAMPLE
from roadmap_content.content.manifest import make_manifest
from roadmap_content.content.roadmaps.framework import read_framework
from roadmap_content.contracts.items import count_by_type
from roadmap_content.platform.storage.keys import manifest_key

BATCH_SIZE = 10


def events_after_a_plan() -> dict[Path, str]:
    """The events, as JSON, by their files."""
    sample = json.loads(SAMPLE.read_bytes())
    framework = read_framework(sample["roadmap"]["framework_data"])
    items = list(framework.items())
    manifest = make_manifest(framework, items, frozenset(), BATCH_SIZE)
    execution = json.loads((REPOSITORY / "events/plan_batches.json").read_text())["execution"]["Id"]
    plan = {
        "manifest": manifest_key(sample["task"]["task_id"], 1, execution, manifest.body),
        "planned": count_by_type(items),
    }
    batch = manifest.batches[0].model_dump(mode="json")
    written = {}
    for name in ("generate_content", "save_batch", "finalize_task"):
        path = REPOSITORY / "events" / f"{name}.json"
        event: dict[str, Any] = json.loads(path.read_text())
        event["plan"] |= plan
        (event["lost"][0] if "lost" in event else event)["batch"] = batch
        written[path] = json.dumps(event, ensure_ascii=False, indent=2) + "\n"
    return written


if __name__ == "__main__":
    for file, text in events_after_a_plan().items():
        file.write_text(text)
