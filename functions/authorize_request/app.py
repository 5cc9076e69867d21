"""Lambda authorizer of the API: lets a request through for the user that its bearer token proves."""

import os
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.authorization import AuthorizationSettings, UnauthorizedError, allow, authenticate
from roadmap_content.errors import ContentError
from roadmap_content.snapshot import fill_snapshot

fill_snapshot()
logger = Logger()


# Said outright, because the environment could switch it on: the event holds the token.
@logger.inject_lambda_context(log_event=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer with a policy, or raise: `Unauthorized` becomes 401.

    What keeps a token from being judged (settings, keys) is refused as well, but becomes 500: the token may
    be good, so nobody should be sent to sign in again, and it is for us to repair.
    """
    try:
        settings = AuthorizationSettings.from_environment(os.environ)
        user_id = authenticate(event.get("authorizationToken"), settings)
        return allow(user_id, event.get("methodArn"))
    except UnauthorizedError as refusal:
        logger.warning("request_refused", extra={"reason": refusal.reason})
        raise
    except ContentError as error:
        logger.exception("request_not_judged", extra={"error_code": error.code, "reason": str(error)})
        raise
