"""Where everything lies in the bucket: one key per thing, and no id can reach another's key.

An id may hold any text (`:`, `/`, `..`, quotes, 300 characters of any script), and a key is limited to
1,024 bytes. So an id is percent-encoded, a long one is cut and made unique by its hash, and the two forms
cannot meet: `~` marks the hash and is itself encoded in an id.
"""

import hashlib
from urllib.parse import quote

from ..items import ContentType, Item

_MAX_ENCODED = 200


def encode(identifier: str) -> str:
    """One id as one path segment of a key: injective, never empty, never `.` or `..`, at most 265 bytes."""
    encoded = quote(identifier, safe=":", errors="surrogatepass").replace("~", "%7E")
    if encoded.strip(".") == "":
        encoded = encoded.replace(".", "%2E") or "%"
    if len(encoded) <= _MAX_ENCODED:
        return encoded
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{encoded[:_MAX_ENCODED]}~{digest}"


def tutorial_key(roadmap_id: str, concept_id: str, version: int) -> str:
    """The text of one version of a tutorial; this is the row's `content_url`."""
    return f"{encode(roadmap_id)}/concepts/{encode(concept_id)}/v{version}.md"


def staged_key(roadmap_id: str, item: Item) -> str:
    """One generated item, staged."""
    return f"{staged_prefix(roadmap_id, item.content_type)}{encode(item.concept_id)}.json"


def staged_prefix(roadmap_id: str, content_type: ContentType) -> str:
    """What the keys of a roadmap's staged items of one content type begin with, and no others."""
    return f"staged/{encode(roadmap_id)}/{content_type}/"


def rejected_key(roadmap_id: str, item: Item, attempt: int, body: bytes) -> str:
    """Staged content that attempt `attempt` could not save for what it is, kept for people to look at.

    Rejected twice, it may be something else by then: the first stays.
    """
    name = f"{attempt}-{fingerprint(body)}"
    return f"rejected/{encode(roadmap_id)}/{item.content_type}/{encode(item.concept_id)}/{name}.json"


def manifest_key(task_id: str, attempt: int, body: bytes) -> str:
    """What one attempt planned to do. Planned twice, it may be less: references into the first stay good."""
    return f"manifests/{encode(task_id)}/{attempt}-{fingerprint(body)}.jsonl"


def fingerprint(body: bytes) -> str:
    """Tells content from other content."""
    return hashlib.sha256(body).hexdigest()[:16]
