"""The bill of materials of a build, as CycloneDX 1.6: the packages that are in its layers."""

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from local_stack.environments import environment_python


def bill_of_materials(folder: Path, commit: str) -> str:
    """Read from the layers themselves and not from the lock files, so that it lists the deployed packages."""
    layers = [str(layer.resolve()) for layer in sorted(folder.glob("*/python"))]
    with TemporaryDirectory() as directory:
        # cyclonedx-py asks an interpreter for its path: this one has nothing but the layers.
        interpreter = Path(directory, "python")
        interpreter.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(layers)}\nEND\n")
        interpreter.chmod(0o700)
        command = (environment_python("sam"), "-m", "cyclonedx_py", "environment", "--output-reproducible")
        listed = subprocess.run(
            [*command, "--spec-version", "1.6", interpreter], capture_output=True, text=True, check=True
        )
    bill = json.loads(listed.stdout)
    bill["metadata"]["component"] = {
        "type": "application",
        "bom-ref": "product",
        "name": "roadmap-content",
        "version": commit,
    }
    return json.dumps(bill, indent=2)
