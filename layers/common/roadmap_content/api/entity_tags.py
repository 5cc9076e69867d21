"""Entity tags of answers, for clients that ask with `If-None-Match`."""

import re


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether a client has the content with this tag: its header is `*`, or a list of tags that contains it.
    A proxy may mark a tag as weak (`W/"…"`) because API Gateway compresses; the content is the same.
    """
    header = (if_none_match or "").strip()
    return header == "*" or etag in re.findall(r'"[^"]*"', header)
