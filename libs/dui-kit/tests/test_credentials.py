"""The service account's token: kept while it holds, and an identity provider that gives none is as one that is away."""

from __future__ import annotations

import httpx
import pytest
from dui_kit.calls.credentials import ServiceToken
from dui_kit.settings import ServiceSettings


class Provider:
    """What the identity provider answers, one after the other."""

    def __init__(self, *bodies: bytes, status: int = 200) -> None:
        self._bodies, self._status = iter(bodies), status

    def post(self, url: str, **_: object) -> httpx.Response:
        return httpx.Response(self._status, content=next(self._bodies), request=httpx.Request("POST", url))


@pytest.fixture
def token() -> ServiceToken:
    """Nothing is fetched yet."""
    return ServiceToken(ServiceSettings())


def test_a_token_is_fetched_once_while_it_holds(token: ServiceToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "post", Provider(b'{"access_token": "one", "expires_in": 3600}').post)
    assert [token.get(), token.get()] == ["one", "one"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"access_token": "one"}',
        b'{"access_token": "one", "expires_in": "soon"}',
    ],
    ids=repr,
)
def test_what_is_no_token_is_as_no_answer(token: ServiceToken, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(httpx, "post", Provider(body, b'{"access_token": "two", "expires_in": 3600}').post)
    with pytest.raises(httpx.HTTPError):
        token.get()
    # Nothing of it was kept.
    assert token.get() == "two"


def test_a_refusal_of_the_provider_is_told_as_one(token: ServiceToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "post", Provider(b"{}", status=401).post)
    with pytest.raises(httpx.HTTPStatusError):
        token.get()
