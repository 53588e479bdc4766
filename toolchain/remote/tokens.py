"""Tokens for the service of ``./invoke remote up``."""

from __future__ import annotations

import re
import time

import jwt

from toolchain.errors import UsageError
from toolchain.remote.service_config import AUDIENCE, ROLES, Role

_HOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,60}")


def find_role(name: str) -> Role:
    """Return the role of that name.

    Raises:
        UsageError: there is none.
    """
    for role in ROLES:
        if role == name:
            return role
    raise UsageError(f"there is no role '{name}'", next_step=f"choose one of: {', '.join(ROLES)}")


def make_token(secret: str, role: str, holder: str, days: float) -> str:
    """Return a token.

    Args:
        secret: of the service.
        role: what it allows.
        holder: who has it; stands in the service's log.
        days: how long it is good.

    Raises:
        UsageError: ``holder`` or ``days`` cannot be used.
    """
    if not _HOLDER.fullmatch(holder):
        raise UsageError(
            f"--holder cannot be {holder!r}",
            next_step="use letters, digits and . _ @ - only, at most 61",
        )
    if not 0 < days <= 3650:
        raise UsageError("--days must be above 0 and at most 3650")
    now = int(time.time())
    claims = {
        "sub": f"{find_role(role)}/{holder}",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + int(days * 86400),
    }
    return jwt.encode(claims, secret, algorithm="HS256")
