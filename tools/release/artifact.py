"""The artefact of a release: one archive with everything that `sam deploy` uploads.

It is built once and deployed to each environment. `sam build` refers to the state machines' definitions
in the checkout, so the archive gets copies of them. It does not contain `samconfig.toml`.
"""

import copy
import gzip
import json
import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

from local_stack.template_file import Template, default_of, read_template

from .bill_of_materials import bill_of_materials
from .errors import ReleaseError

_TEMPLATE = "template.json"
_DESCRIPTION = "artifact.json"
_BILL = "bill-of-materials.cdx.json"


class Artifact(NamedTuple):
    """An unpacked artefact."""

    template: Path
    commit: str
    architecture: str


def self_contained(template: Path, commit: str) -> Artifact:
    """Make the folder of a `sam build` independent of the checkout. Its template becomes `template.json`."""
    folder = template.parent
    changed = _with_copied_definitions(read_template(template), folder)
    (folder / _TEMPLATE).write_text(json.dumps(changed))
    return Artifact(folder / _TEMPLATE, commit, default_of(changed, "Architecture"))


def _with_copied_definitions(template: Template, folder: Path) -> Template:
    changed = copy.deepcopy(template)
    definitions = folder / "statemachine"
    definitions.mkdir(exist_ok=True)
    for resource in changed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            properties = resource["Properties"]
            source = (folder / properties["DefinitionUri"]).resolve()
            if source.parent != definitions.resolve():
                shutil.copy(source, definitions)
            properties["DefinitionUri"] = f"{definitions.name}/{source.name}"
    return changed


def pack(built: Artifact, archive: Path) -> Path:
    """Write the archive, and the bill of materials beside it; return the bill's path.

    The same build gives the same bytes: no times and no owners are recorded.
    """
    folder = built.template.parent
    description = {"commit": built.commit, "architecture": built.architecture}
    (folder / _DESCRIPTION).write_text(json.dumps(description))
    bill = archive.with_name(_BILL)
    bill.write_text(bill_of_materials(folder, built.commit))
    with (
        archive.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as compressed,
        tarfile.open(fileobj=compressed, mode="w") as entries,
    ):
        for path in sorted(folder.rglob("*")):
            entries.add(path, str(path.relative_to(folder)), recursive=False, filter=_without_circumstances)
    return bill


def _without_circumstances(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


def unpack(archive: Path, folder: Path) -> Artifact:
    """Unpack an artefact into an empty folder.

    Raises:
        ReleaseError: it is not an artefact of a release.
    """
    try:
        with tarfile.open(archive) as entries:
            entries.extractall(folder, filter="data")
        description = json.loads((folder / _DESCRIPTION).read_text())
        return Artifact(folder / _TEMPLATE, description["commit"], description["architecture"])
    except (OSError, tarfile.TarError, KeyError, json.JSONDecodeError) as error:
        raise ReleaseError(f"{archive} is not an artefact of `make artifact`: {error}") from error
