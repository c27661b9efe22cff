"""The service's own access token, for calls that no person makes."""

from __future__ import annotations

import threading
import time

import httpx

from dui_kit.settings import ServiceSettings

#: A token is renewed this many seconds before it ends.
MARGIN_SECONDS = 60


class ServiceToken:
    """Fetches the service account's token by client credentials, and keeps it until shortly before it ends."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Nothing is fetched yet."""
        self._url = settings.oidc_token_url or f"{settings.oidc_issuer}/protocol/openid-connect/token"
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def get(self, *, timeout: float = 5.0) -> str:
        """The token; httpx.HTTPError when the identity provider does not answer, or with no token, and none is held."""
        with self._lock:
            if time.monotonic() < self._renew_at:
                return self._token
            answer = httpx.post(
                self._url,
                data={
                    "grant_type": "client_credentials",
                    "client_id": self._client_id,
                    "client_secret": self._secret.get_secret_value(),
                },
                timeout=timeout,
            )
            answer.raise_for_status()
            try:
                body = answer.json()
                token, seconds = str(body["access_token"]), float(body["expires_in"])
            except (ValueError, KeyError, TypeError) as error:
                message = "the identity provider answers, but with no token"
                raise httpx.DecodingError(message, request=answer.request) from error
            self._token = token
            self._renew_at = time.monotonic() + max(0, seconds - MARGIN_SECONDS)
            return self._token
