"""Sign tokens for the local stack, with a secret that it creates at its start."""

import time

import jwt


def sign_token(
    secret: str,
    *,
    user_id: str,
    issuer: str | None,
    audience: str,
    scope: str = "",
    lifetime_seconds: int = 3600,
) -> str:
    """Sign a token (HS256) for `user_id` that is valid from now on. `issuer=None`: without an issuer."""
    now = int(time.time())
    claims = {"aud": audience, "sub": user_id, "iat": now, "exp": now + lifetime_seconds}
    if issuer is not None:
        claims["iss"] = issuer
    if scope:
        claims["scope"] = scope
    return jwt.encode(claims, secret, algorithm="HS256")
