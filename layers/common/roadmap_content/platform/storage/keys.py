"""The keys of objects in the bucket. Different ids always get different keys.

An id may be any text (`:`, `/`, `..`, quotes, 300 characters of any script), but a key is limited to 1,024
bytes. Therefore ids are percent-encoded; a long id is truncated and made unique by its hash. The two forms
cannot collide, because `~` marks the hash and is escaped in ids.
"""

import hashlib
import re
from urllib.parse import quote

from ...contracts.items import ContentType, Item

_MAX_ENCODED = 200

_NEEDS_NO_ENCODING = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*")
"""An id of the usual form. Many ids are encoded at a time, and `quote` takes ten times longer than this
check.
"""


def encode(identifier: str) -> str:
    """Encode an id as one segment of a key: injective, never empty, never `.` or `..`, at most 265 bytes."""
    if len(identifier) <= _MAX_ENCODED and _NEEDS_NO_ENCODING.fullmatch(identifier):
        return identifier
    encoded = quote(identifier, safe=":", errors="surrogatepass").replace("~", "%7E")
    if encoded.strip(".") == "":
        encoded = encoded.replace(".", "%2E") or "%"
    if len(encoded) <= _MAX_ENCODED:
        return encoded
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{encoded[:_MAX_ENCODED]}~{digest}"


def tutorial_key(roadmap_id: str, concept_id: str, version: int) -> str:
    """The key of one version of a tutorial's text. The row stores it as `content_url`."""
    return f"{encode(roadmap_id)}/concepts/{encode(concept_id)}/v{version}.md"


def staged_key(roadmap_id: str, item: Item) -> str:
    """The key of a staged item."""
    return f"{staged_prefix(roadmap_id, item.content_type)}{encode(item.concept_id)}.json"


def replacement_key(roadmap_id: str, item: Item, replaced_id: str) -> str:
    """The key of a staged item that replaces the saved row with this id.

    The content that the row was saved from keeps its own key. Once the row is no longer the current one, the
    replacement is no longer found.
    """
    prefix = replacement_prefix(roadmap_id, item.content_type)
    return f"{prefix}{encode(item.concept_id)}/{encode(replaced_id)}.json"


def replacement_prefix(roadmap_id: str, content_type: ContentType) -> str:
    """The common prefix of the keys of a roadmap's staged replacements of one content type."""
    return f"staged/{encode(roadmap_id)}/replacing-{content_type}/"


def staged_prefix(roadmap_id: str, content_type: ContentType) -> str:
    """The common prefix of the keys of a roadmap's staged items of one content type."""
    return f"staged/{encode(roadmap_id)}/{content_type}/"


def rejected_prefix(roadmap_id: str, item: Item) -> str:
    """The common prefix of the keys of an item's rejected content."""
    return f"rejected/{encode(roadmap_id)}/{item.content_type}/{encode(item.concept_id)}/"


def rejected_key(roadmap_id: str, item: Item, attempt: int, content_fingerprint: str) -> str:
    """The key of content that an attempt refused, kept for inspection.

    The key contains a fingerprint, so that a second refusal in the same attempt does not overwrite the first.
    """
    return f"{rejected_prefix(roadmap_id, item)}{attempt}-{content_fingerprint}.json"


def manifest_key(task_id: str, attempt: int, body: bytes) -> str:
    """The key of an attempt's manifest.

    The key contains a fingerprint, so that a repeated Plan does not invalidate references into the first
    manifest.
    """
    return f"manifests/{encode(task_id)}/{attempt}-{fingerprint(body)}.jsonl"


def fingerprint(body: bytes) -> str:
    """A short hash that identifies content."""
    return hashlib.sha256(body).hexdigest()[:16]
