"""The table `content_origins`: how each saved content came to be, and each refused content. No I/O."""

from ..contracts.items import ContentType
from ..contracts.payloads import Origin
from .kind import Row

_NAMES = "content_fingerprint, generator, model_id, prompt_version, service_tier, tokens_in, tokens_out"

_COLUMNS = (
    "content_fingerprint text, generator text, model_id text, prompt_version text, service_tier text,"
    " tokens_in integer, tokens_out integer"
)

# Guarantees: a repeated record of the same refusal changes nothing.
RECORD_REFUSED = f"""
INSERT INTO content_origins (content_type, roadmap_id, concept_id, task_id, attempt, actor, refused_code,
    {_NAMES})
SELECT r.content_type, :roadmap_id, r.concept_id, :task_id, :attempt,
    (SELECT a.actor FROM content_attempts a WHERE a.task_id = :task_id AND a.attempt = :attempt),
    r.refused_code, {_NAMES}
FROM json_to_recordset(CAST(:refused AS json)) AS r(
    content_type text, concept_id text, refused_code text, {_COLUMNS})
WHERE NOT EXISTS (SELECT FROM content_origins k WHERE k.task_id = :task_id AND k.attempt = :attempt
    AND k.refused_code IS NOT NULL AND k.content_type = r.content_type AND k.concept_id = r.concept_id)
"""

# The new content has the origin of the restored one, if that was recorded.
RECORD_RESTORED = f"""
INSERT INTO content_origins (content_type, content_id, roadmap_id, concept_id, actor, reason, restored_from,
    task_id, attempt, {_NAMES})
SELECT :content_type, :content_id, :roadmap_id, :concept_id, :actor, :reason, :restored_from,
    o.task_id, o.attempt, {_NAMES}
FROM (SELECT 1) AS one LEFT JOIN LATERAL (SELECT * FROM content_origins
    WHERE content_id = :restored_from AND content_type = :content_type AND roadmap_id = :roadmap_id
        AND concept_id = :concept_id
    ORDER BY origin_id DESC LIMIT 1) AS o ON true
"""

OF_CONTENT = """
SELECT generator, model_id, prompt_version, service_tier, tokens_in, tokens_out, content_fingerprint,
    task_id, attempt, actor, reason, restored_from, recorded_at
FROM content_origins
WHERE content_id = :content_id AND content_type = :content_type AND roadmap_id = :roadmap_id
    AND concept_id = :concept_id
ORDER BY origin_id DESC LIMIT 1
"""


def origin_sql(content_type: ContentType, key: str, written: str) -> str:
    """A part of a `save_sql` that records the origins of the rows of `checked` whose concepts `written`
    returns.
    """
    return (
        "INSERT INTO content_origins (content_type, content_id, roadmap_id, concept_id, task_id, attempt,"
        f" actor, {_NAMES})"
        f" SELECT '{content_type}', j.{key}, :roadmap_id, j.concept_id, o.task_id, o.attempt,"
        " (SELECT a.actor FROM content_attempts a WHERE a.task_id = o.task_id AND a.attempt = o.attempt),"
        f" {_NAMES}"
        f" FROM checked j JOIN ({written}) w ON w.concept_id = j.concept_id"
        f" CROSS JOIN LATERAL json_to_record(j.origin) AS o(task_id text, attempt integer, {_COLUMNS})"
    )


def with_origin(row: Row, origin: Origin, task_id: str, attempt: int, content_fingerprint: str) -> Row:
    """A row for a `save_sql` that records its origin."""
    saved = {"task_id": task_id, "attempt": attempt, "content_fingerprint": content_fingerprint}
    return row | {"origin": origin.model_dump() | saved}
