"""Delete a user's roadmap: its rows with `database/erase.sql`, its objects with all their versions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from local_stack.builds import REPOSITORY
from roadmap_content.platform.storage.keys import encode

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def erase_statements() -> Iterator[str]:
    """The statements of `database/erase.sql`."""
    lines = (REPOSITORY / "database/erase.sql").read_text().splitlines()
    script = "\n".join(line for line in lines if not line.startswith("--"))
    yield from (statement.strip() for statement in script.split(";") if statement.strip())


def erase_rows(engine: Engine, user_id: str, roadmap_id: str = "") -> None:
    """Delete the rows of one roadmap of a user, or of all of them, in one transaction."""
    with engine.begin() as connection:
        for statement in erase_statements():
            connection.execute(text(statement), {"user_id": user_id, "roadmap_id": roadmap_id})


def erase_objects(s3: "S3Client", bucket: str, roadmap_id: str, task_id: str) -> None:
    """Delete the objects of a roadmap and its task, with all versions."""
    key, task_key = encode(roadmap_id), encode(task_id)
    for prefix in (f"{key}/", f"staged/{key}/", f"rejected/{key}/", f"manifests/{task_key}/"):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
