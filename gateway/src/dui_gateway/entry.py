"""Who may come in: the token is verified here before anything is sent to a service, and again by the service itself.

The tenant is the one of the token's organization. No header of a caller names a tenant, an account or a role.
"""

from __future__ import annotations

from dui_kit.errors import Reason, Refusal
from dui_kit.wire.tokens import Claims, TokenRefused, TokenVerifier

from dui_gateway import texts
from dui_gateway.limits import Bucket, Share
from dui_gateway.problems import Problem, challenge, of_refusal
from dui_gateway.settings import GatewaySettings


class Turned(Exception):
    """A caller turned away at the door; `reason` tells why, `wait` the seconds after which to come back."""

    def __init__(self, reason: Reason, *, wait: int = 0) -> None:
        super().__init__(reason.name)
        self.reason = reason
        self.wait = wait

    def problem(self, language: str) -> Problem:
        """The problem document, with the challenge that a client library understands."""
        headers: dict[str, str] = {}
        if self.wait:
            headers["Retry-After"] = str(self.wait)
        if self.reason is texts.TOKEN_MISSING:
            # Without credentials a challenge names no error (RFC 6750, 3.1).
            headers["WWW-Authenticate"] = 'Bearer realm="dui"'
        elif self.reason.code == "UNAUTHENTICATED":
            headers["WWW-Authenticate"] = challenge("invalid_token", self.reason.en)
        return of_refusal(Refusal(self.reason), language, headers=headers)


class Door:
    """Tokens and limits."""

    def __init__(self, verifier: TokenVerifier, settings: GatewaySettings) -> None:
        self.verifier = verifier
        self._subjects = Bucket(settings.rate_limit_subject_per_second, settings.rate_limit_subject_burst)
        self._writers = Bucket(settings.rate_limit_write_per_second, settings.rate_limit_write_burst)
        self._tenants = Bucket(settings.rate_limit_tenant_per_second, settings.rate_limit_tenant_burst)
        self.share = Share(settings.gateway_threads)

    def enter(self, authorization: str, *, writes: bool) -> Claims:
        """The claims of a person's token, from the Authorization header; `writes`: for a call that changes something. Raises
        `Turned`."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Turned(texts.TOKEN_MISSING)
        try:
            claims = self.verifier.verify(token)
        except TokenRefused as refused:
            raise Turned(refused.reason) from refused
        if claims.service or claims.tenant_id is None:
            raise Turned(texts.SERVICE_ONLY)
        wait = (
            self._subjects.take(claims.subject)
            or self._tenants.take(claims.tenant_id)
            or (self._writers.take(claims.subject) if writes else 0)
        )
        if wait:
            raise Turned(texts.RATE_LIMITED, wait=wait)
        return claims
