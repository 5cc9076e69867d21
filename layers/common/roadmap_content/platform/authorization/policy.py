"""The response of a Lambda authorizer to API Gateway."""

import re
from collections.abc import Mapping
from typing import Any

from ...contracts.errors import InvalidPayloadError

_METHOD_ARN = re.compile(r"(arn:[\w-]+:execute-api:[\w-]+:\d+:\w+/[\w-]+)/.*", re.ASCII | re.DOTALL)


def allow(user_id: str, method_arn: object, context: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A policy that allows `user_id` to call all methods of the API stage of `method_arn`.

    The policy covers all methods because API Gateway caches it per token: a policy for one method would
    refuse the next call with the token to another method. The backend reads `user_id` and the roles from the
    context.

    Raises:
        InvalidPayloadError: `method_arn` is not the ARN of an API method.
    """
    if not isinstance(method_arn, str) or not (match := _METHOD_ARN.fullmatch(method_arn)):
        raise InvalidPayloadError("methodArn is not the ARN of an API's method")
    return {
        "principalId": user_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{match[1]}/*"}],
        },
        "context": dict(context or {"user_id": user_id}),
    }
