"""The keys of objects in the bucket. Different ids always get different keys.

An id may be any text (`:`, `/`, `..`, quotes, 300 characters of any script), but a key is limited to 1,024
bytes. Therefore ids are percent-encoded; a long id is truncated and made unique by its hash. The two forms
cannot collide, because `~` marks the hash and is escaped in ids. The product does not encode ids in the keys
of its texts.

Texts are below `{roadmap}/concepts/`. *Working data* is staged and rejected content and manifests. The prefix
of all objects of one kind of a roadmap or of a task is called a place.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

from ...contracts.errors import OtherBucketError
from ...contracts.items import ContentType, Item

_MAX_ENCODED = 200

_NEEDS_NO_ENCODING = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*")
"""An id of the usual form. Many ids are encoded at a time, and `quote` takes ten times longer."""


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


STAGED, REJECTED, MANIFESTS = "staged/items/", "rejected/items/", "manifests/tasks/"
ERASURES = "erasures/register/"
"""The second segment is not `concepts`, so that no text of a roadmap with the id `staged` is below it."""

WORKING = (STAGED, REJECTED, MANIFESTS)

_WORKING_DATA = re.compile(f"(?:{'|'.join(WORKING)})[^/]+/")
"""A place of working data: a prefix, and the roadmap or the task."""

_HASH = re.compile(r"/([0-9a-f]{64})\.md$")

_TEXT = re.compile(r"([^/]+)/concepts/[^/]+/([0-9a-f]{64})\.md")
"""The key of a text of ours: the encoded roadmap, and the hash."""

_ENCODED_TEXT = re.compile(r"[^/]+/concepts/[^/]+/[^/]+")
"""A key that may be one with encoded ids, which contain no `/`."""

_CONCEPT = re.compile(r"(?<=.)(?=/concepts/.*/)", re.DOTALL)
"""The end of a roadmap's id that is not encoded: several, if the id contains `/concepts/`."""

_TRUNCATED = re.compile(r"~[0-9a-f]{64}$")
"""The end of an encoded id that was too long."""

_URL = re.compile(r"(?:https?|s3)://(?P<host>[^/?#]+)/(?P<path>[^?#]*)")

_AWS_SUFFIX = re.compile(r"\.amazonaws\.com(?:\.cn)?(?::\d+)?$")

_REGION = re.compile(r"[a-z0-9-]+")


def text_key(roadmap_id: str, concept_id: str, text: bytes) -> str:
    """The key of a tutorial's text; the row stores it as `content_url`. It contains a hash of the text, so
    that neither the product nor another attempt stores another text there.
    """
    return f"{encode(roadmap_id)}/concepts/{encode(concept_id)}/{hashlib.sha256(text).hexdigest()}.md"


def product_text_key(roadmap_id: str, concept_id: str, version: int) -> str:
    """The key of a text of the product. Its generator overwrites the text of version 1 again and again."""
    return f"{encode(roadmap_id)}/concepts/{encode(concept_id)}/v{version}.md"


def hash_in(key: str) -> str | None:
    """The hash in the key of a text; `None` in a key of the product."""
    match = _HASH.search(key)
    return None if match is None else match[1]


def text_in(key: str) -> tuple[str, str] | None:
    """The roadmap and the hash in the key of a text; `None` in other keys, and if the id is truncated."""
    match = _TEXT.fullmatch(key)
    roadmap_id = "" if match is None else unquote(match[1])
    if match is None or encode(roadmap_id) != match[1] or "\0" in roadmap_id:
        return None
    return roadmap_id, match[2]


def is_ours(key: str) -> bool:
    """Whether a key is one that only this system writes."""
    return _working(key) is not None or hash_in(key) is not None


def next_place(key: str) -> str:
    """Where a walk through the texts continues after a key: if it has the prefix of working data or of the
    register, behind all keys with that prefix.
    """
    for prefix in (*WORKING, ERASURES):
        if key.startswith(prefix):
            return prefix.removesuffix("/") + "0"  # `0` comes after `/`
    return key


def owners_of(key: str) -> set[str]:
    """The places, as of `places_of`, of the roadmaps or of the task to which an object may belong.

    Ours has one owner. A text of the product has two if one id reads like the encoded form of another one, or
    if an id contains `/concepts/`.
    """
    working = _working(key)
    if working is not None:
        return {working}
    owners = set()
    first = key.partition("/")[0]
    if _ENCODED_TEXT.fullmatch(key) and _is_encoded(first):
        owners.add(_texts(first))
        if _TEXT.fullmatch(key):
            return owners  # only this system writes such a key
    for end_of_id in _CONCEPT.finditer(key):
        owners.add(_texts(encode(key[: end_of_id.start()])))
    return owners


def is_text_of(roadmap_id: str, key: str) -> bool:
    """Whether a key may be one of a text of the roadmap."""
    return _texts(encode(roadmap_id)) in owners_of(key)


def _working(key: str) -> str | None:
    """The place of working data; `None` in other keys. A text ends with `.md`."""
    match = None if key.endswith(".md") else _WORKING_DATA.match(key)
    return None if match is None else match[0]


def _is_encoded(segment: str) -> bool:
    """Whether a segment of a key may be the result of `encode`."""
    return _TRUNCATED.search(segment) is not None or encode(unquote(segment)) == segment


def _texts(roadmap: str) -> str:
    return f"{roadmap}/concepts/"


def key_in_url(url: str, bucket: str) -> str:
    """The key of an object from its URL, signed or not. The bucket is the first part of the host, or of the
    path. The host may be any other one: that of a service with the API of S3, from which the product has
    moved. Nothing is requested from it: the key is looked up in our bucket, like one that a row names itself.

    Raises:
        OtherBucketError: the URL does not name the bucket.
    """
    if match := _URL.match(url):
        host, path = match["host"], match["path"]
        is_on_aws, in_host = _bucket_on_aws(host)
        if not is_on_aws and f"{host}.".startswith(f"{bucket}."):
            in_host = bucket
        if in_host == bucket:
            return unquote(path)
        if in_host is None and path.startswith(f"{bucket}/"):
            return unquote(path.removeprefix(f"{bucket}/"))
    raise OtherBucketError(f"its text is at {re.split('[?#]', url)[0]}, not in the bucket {bucket}")


def _bucket_on_aws(host: str) -> tuple[bool, str | None]:
    """Whether a host is S3's (`bucket.s3.region.amazonaws.com` and its other forms), and the bucket that it
    names: the labels before the last `s3` or `s3-…`, after which only regions may follow.
    """
    suffix = _AWS_SUFFIX.search(host)
    labels = host[: suffix.start()].split(".") if suffix is not None else []
    for place in reversed(range(len(labels))):
        label = labels[place]
        if label == "s3" or label.startswith("s3-"):
            return True, ".".join(labels[:place]) or None
        if not _REGION.fullmatch(label):
            break
    return False, None


def staged_key(roadmap_id: str, item: Item) -> str:
    return f"{staged_prefix(roadmap_id, item.content_type)}{encode(item.concept_id)}.json"


def replacement_key(roadmap_id: str, item: Item, replaced_id: str) -> str:
    """The key of a staged item that replaces the saved row with this id. The content that the row was saved
    from keeps its own key. Once the row is no longer the current one, the replacement is no longer found.
    """
    prefix = replacement_prefix(roadmap_id, item.content_type)
    return f"{prefix}{encode(item.concept_id)}/{encode(replaced_id)}.json"


def replacement_prefix(roadmap_id: str, content_type: ContentType) -> str:
    """The common prefix of the keys of a roadmap's staged replacements of one content type."""
    return f"{STAGED}{encode(roadmap_id)}/replacing-{content_type}/"


def staged_prefix(roadmap_id: str, content_type: ContentType) -> str:
    """The common prefix of the keys of a roadmap's staged items of one content type."""
    return f"{STAGED}{encode(roadmap_id)}/{content_type}/"


def rejected_prefix(roadmap_id: str, item: Item) -> str:
    """The common prefix of the keys of an item's rejected content."""
    return f"{REJECTED}{encode(roadmap_id)}/{item.content_type}/{encode(item.concept_id)}/"


def rejected_key(roadmap_id: str, item: Item, attempt: int, content_fingerprint: str) -> str:
    """The key of content that an attempt refused, kept for inspection. The key contains a fingerprint, so
    that a second refusal in the same attempt does not overwrite the first.
    """
    return f"{rejected_prefix(roadmap_id, item)}{attempt}-{content_fingerprint}.json"


def manifest_key(task_id: str, attempt: int, execution_arn: str, body: bytes) -> str:
    """The key of an attempt's manifest. The key contains a fingerprint, so that a repeated Plan does not
    invalidate references into the first manifest, and a late step of an earlier life of the task finds none.
    """
    return f"{MANIFESTS}{encode(task_id)}/{attempt}-{fingerprint(execution_arn.encode() + body)}.jsonl"


def places_of(roadmap_ids: Iterable[str], task_ids: Iterable[str]) -> dict[str, str]:
    """The prefixes of the objects of roadmaps and tasks, with the names of their kinds."""
    places = {f"{MANIFESTS}{encode(task_id)}/": "manifests" for task_id in task_ids}
    for encoded in map(encode, roadmap_ids):
        places[_texts(encoded)] = "texts"
        places[f"{STAGED}{encoded}/"] = "staged"
        places[f"{REJECTED}{encoded}/"] = "rejected"
    return places


def prefixes_of(roadmap_ids: Sequence[str], task_ids: Sequence[str]) -> dict[str, str]:
    """The prefixes under which these objects are found. The product does not encode ids: below such a prefix
    may be objects of others; see `owners_of`.
    """
    raw = {_texts(roadmap_id): "texts" for roadmap_id in roadmap_ids}
    return raw | places_of(roadmap_ids, task_ids)


def fingerprint(body: bytes) -> str:
    """A short hash that identifies content."""
    return hashlib.sha256(body).hexdigest()[:16]
