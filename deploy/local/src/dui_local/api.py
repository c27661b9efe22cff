"""The gateway as a client of the demo sees it: one person logged in, requests that explain themselves when refused."""

from __future__ import annotations

import secrets
import time
from typing import Any

import httpx
from dui_ops.login import Tokens, login
from dui_ops.state import Account, State


class ApiError(Exception):
    """A request that was refused: the problem document says why."""

    def __init__(self, response: httpx.Response) -> None:
        """Reads the problem document (RFC 9457), when there is one."""
        self.status = response.status_code
        try:
            self.problem: dict[str, Any] = response.json()
        except ValueError:
            self.problem = {"title": response.text[:200]}
        self.reason = str(self.problem.get("reason", ""))
        super().__init__(f"{self.status} {self.reason} {self.problem.get('detail', self.problem.get('title', ''))}")


class Api:
    """The gateway, called as one person. Logs in again when the token is about to end."""

    def __init__(self, state: State, account: Account, acr: str = "1") -> None:
        """Nothing is called yet."""
        self._state, self._account, self._acr = state, account, acr
        self._client = httpx.Client(base_url=state["urls"]["gateway"], timeout=20)
        self._tokens: Tokens | None = None
        self._renew_at = 0.0

    def token(self) -> str:
        """A token that lives for another minute at least."""
        if self._tokens is None or time.monotonic() > self._renew_at:
            self._tokens = login(
                issuer=self._state["urls"]["issuer"],
                username=self._account["username"],
                password=self._account["password"],
                otp_secret=self._account["otp_secret"],
                organization=self._account["association"]["alias"],
                acr=self._acr,
            )
            self._renew_at = time.monotonic() + max(30, self._tokens.expires_in - 60)
        return self._tokens.access_token

    def forget(self) -> None:
        """Logs in again at the next call: the token says what was so when it was made."""
        self._tokens = None

    def request(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """The response, whatever its status."""
        return self._client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {self.token()}", **headers}
        )

    def get(self, path: str) -> dict[str, Any]:
        """The JSON of a read; ApiError when refused."""
        return self._json(self.request("GET", path))

    def post(self, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """The JSON of a creation or an act, safe to repeat; ApiError when refused."""
        headers = {"Idempotency-Key": secrets.token_hex(16), **headers}
        return self._json(self.request("POST", path, body if body is not None else {}, **headers))

    def patch(self, path: str, body: object, **headers: str) -> dict[str, Any]:
        """The JSON of what was changed; ApiError when refused."""
        return self._json(self.request("PATCH", path, body, **headers))

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        if response.status_code >= 400:
            raise ApiError(response)
        found: dict[str, Any] = response.json()
        return found

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
