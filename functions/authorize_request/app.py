"""Lambda authorizer of the API: lets a request through for the user that its bearer token proves."""

import os
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.authorization.authenticate import authenticate
from roadmap_content.authorization.policy import allow
from roadmap_content.authorization.settings import AuthorizationSettings
from roadmap_content.authorization.tokens import UnauthorizedError
from roadmap_content.errors import ContentError
from roadmap_content.runtime.preload import preload_for_snapstart

preload_for_snapstart()
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
