"""Local verification of access tokens: who calls, for which tenant, and how well they proved it.

One verifier serves the gateway and every service. No call goes to the identity provider while its keys are known: the
key set is kept in memory and on disk (an outage or a restart of either side changes nothing), and fetched again when a
token names an unknown key, at most once per cool-down, or when the copy is old.

Only the signature check is remembered, by the SHA-256 of the token: what time can change (`exp`, `nbf`, `iat`) is
checked on each call. Sources: RFC 7519, RFC 8725 (algorithm allow-list, no key taken from the token).
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from dui_kit.errors import Reason
from dui_kit.wire import texts
from dui_kit.wire.jwks import KeySet, KeysUnavailable

ALGORITHMS = frozenset({"RS256", "ES256", "PS256"})
SYSTEM_ROLE = "dui-system"
#: Clients of services are called `dui-<service>`.
SERVICE_CLIENT = "dui-"
SKEW_SECONDS = 30
#: The levels (`acr`) of a password, and of a password and a one-time code.
PASSWORD = 1
SECOND_FACTOR = 2
REMEMBERED = 10_000

# Longer than any token of the realm; what is longer is refused before any work is done on it.
_MAX_LENGTH = 16_384
_KEY_ID = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
# Headers that would let a token bring its own key, or ask for semantics that nobody implements (RFC 7515, 4.1.11).
_FORBIDDEN_HEADERS = ("jwk", "jku", "x5u", "x5c", "crit", "b64")


class TokenRefused(Exception):
    """A token that proves nothing, and the reason to tell its caller. No part of the token is in it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    subject: str
    tenant_id: str | None
    client: str
    acr: int
    expires_at: float
    issued_at: float
    session_id: str | None
    #: The service of the platform, `records`; empty: a person.
    service: str
    #: When the level `acr` was reached, in seconds since 1970; 0: the token does not tell.
    proved_at: float = 0.0
    #: When the password was given; 0: the token does not tell. A refreshed token is issued anew, and lives by the same password.
    entered_at: float = 0.0

    def proves(self, level: int, *, within: float, at: float) -> bool:
        """Whether the caller has proved this level: a second factor (2) not longer ago than `within` seconds. A token says `acr`
        2 for as long as its session is refreshed, so the level alone would be that of the morning all day."""
        return self.acr >= level and (level < SECOND_FACTOR or at - self.proved_at <= within)


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: Claims
    not_before: float
    key_id: str


class TokenVerifier:
    """Verifies the access tokens of one issuer. Safe to share between threads.

    `clients`: the `azp` accepted for persons. A token of another client is accepted only as a service's: of a client
    `dui-<service>`, with the realm role `dui-system`.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        clients: Collection[str],
        jwks_url: str,
        cache_dir: Path | str | None,
        *,
        clock: Callable[[], float] = time.time,
        keys: KeySet | None = None,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clients = frozenset(clients)
        self._clock = clock
        self.keys = keys or KeySet(jwks_url, Path(cache_dir) if cache_dir else None)
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, raw: str) -> Claims:
        """The claims of `raw` (a compact JWS, without "Bearer"). Raises `TokenRefused`, whose reason is one of
        TOKEN_REFUSED, TOKEN_EXPIRED, TOKEN_NOT_YET_VALID, TENANT_MISSING, TENANT_AMBIGUOUS, CLIENT_REFUSED, or
        KEYS_UNAVAILABLE when no key of the issuer was ever obtained (not the caller's fault)."""
        if not raw or len(raw) > _MAX_LENGTH or not raw.isascii():
            raise TokenRefused(texts.TOKEN_REFUSED)
        digest = hashlib.sha256(raw.encode("ascii")).digest()
        with self._lock:
            known = self._verified.get(digest)
            if known is not None:
                self._verified.move_to_end(digest)
        # A key withdrawn by the issuer takes its tokens with it, also the ones already seen.
        if known is None or not self.keys.holds(known.key_id):
            known = self._check(raw)
            with self._lock:
                self._verified[digest] = known
                while len(self._verified) > REMEMBERED:
                    self._verified.popitem(last=False)
        now = self._clock()
        if now >= known.claims.expires_at + SKEW_SECONDS:
            raise TokenRefused(texts.TOKEN_EXPIRED)
        if now < known.not_before - SKEW_SECONDS or now < known.claims.issued_at - SKEW_SECONDS:
            raise TokenRefused(texts.TOKEN_NOT_YET_VALID)
        return known.claims

    def _check(self, raw: str) -> _Verified:
        try:
            header = jwt.get_unverified_header(raw)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused(texts.TOKEN_REFUSED) from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise TokenRefused(texts.TOKEN_REFUSED)
        if any(name in header for name in _FORBIDDEN_HEADERS):
            raise TokenRefused(texts.TOKEN_REFUSED)
        try:
            key = self.keys.get(key_id)
        except KeysUnavailable as error:
            raise TokenRefused(texts.KEYS_UNAVAILABLE) from error
        # The algorithm is the key's, never the token's alone: no RSA key is ever used as another kind of key.
        if key is None or key.algorithm_name != algorithm:
            raise TokenRefused(texts.TOKEN_REFUSED)
        try:
            payload = jwt.decode(
                raw,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    # Checked by `verify` on each call.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused(texts.TOKEN_REFUSED) from error
        return self._read(payload, key_id)

    def _read(self, payload: Mapping[str, Any], key_id: str) -> _Verified:
        # Keycloak signs identity and refresh tokens with the same keys: only an access token opens anything.
        if payload.get("typ", "Bearer") != "Bearer":
            raise TokenRefused(texts.TOKEN_REFUSED)
        client, subject, session = payload.get("azp"), payload.get("sub"), payload.get("sid")
        if not isinstance(client, str) or not client or not isinstance(subject, str) or not subject:
            raise TokenRefused(texts.TOKEN_REFUSED)
        service = ""
        if client not in self._clients:
            service = client.removeprefix(SERVICE_CLIENT) if client.startswith(SERVICE_CLIENT) else ""
            if not service or not _has_system_role(payload):
                raise TokenRefused(texts.CLIENT_REFUSED)
        acr = _acr(payload.get("acr"))
        return _Verified(
            claims=Claims(
                subject=subject,
                tenant_id=None if service else _tenant(payload.get("organization")),
                client=client,
                acr=acr,
                expires_at=_instant(payload.get("exp")),
                issued_at=_instant(payload.get("iat")),
                session_id=session if isinstance(session, str) and session else None,
                service=service,
                proved_at=_reached(payload.get("acr_times"), acr),
                entered_at=_reached(payload.get("acr_times"), PASSWORD),
            ),
            not_before=_instant(payload.get("nbf", 0)),
            key_id=key_id,
        )


def _has_system_role(payload: Mapping[str, Any]) -> bool:
    access = payload.get("realm_access")
    roles = access.get("roles") if isinstance(access, dict) else None
    return isinstance(roles, list) and SYSTEM_ROLE in roles


def _tenant(organization: object) -> str:
    """The tenant of the only organization of the claim `{alias: {id, tenant_id: [uuid]}}`."""
    if not isinstance(organization, dict) or not organization:
        raise TokenRefused(texts.TENANT_MISSING)
    if len(organization) > 1:
        raise TokenRefused(texts.TENANT_AMBIGUOUS)
    (attributes,) = organization.values()
    values = attributes.get("tenant_id") if isinstance(attributes, dict) else None
    if not isinstance(values, list) or not values:
        raise TokenRefused(texts.TENANT_MISSING)
    if len(values) > 1:
        raise TokenRefused(texts.TENANT_AMBIGUOUS)
    try:
        tenant = str(uuid.UUID(values[0]))
    except (ValueError, TypeError, AttributeError) as error:
        raise TokenRefused(texts.TENANT_MISSING) from error
    if tenant != values[0]:
        raise TokenRefused(texts.TENANT_MISSING)
    return tenant


def _acr(value: object) -> int:
    """The level of authentication; 0 when the token does not tell one."""
    return int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 3 else 0


def _reached(times: object, acr: int) -> float:
    """When a level was reached, of the claim `{"1": instant, "2": instant}`; 0 when it does not tell."""
    value = times.get(str(acr)) if isinstance(times, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _instant(value: object) -> float:
    """Seconds since 1970 (NumericDate)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        raise TokenRefused(texts.TOKEN_REFUSED)
    return float(value)
