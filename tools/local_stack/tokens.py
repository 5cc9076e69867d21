"""Sign tokens for the local stack, with a secret that it creates at its start."""

import time

import jwt


def sign_token(
    secret: str, *, user_id: str, issuer: str, audience: str, scope: str = "", lifetime_seconds: int = 3600
) -> str:
    """Sign a token (HS256) for `user_id` that is valid from now on."""
    now = int(time.time())
    claims = {"iss": issuer, "aud": audience, "sub": user_id, "iat": now, "exp": now + lifetime_seconds}
    if scope:
        claims["scope"] = scope
    return jwt.encode(claims, secret, algorithm="HS256")
