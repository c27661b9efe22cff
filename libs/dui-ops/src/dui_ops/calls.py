"""Calls to services of the platform, by an operator: as the account of a service, with failures told in a sentence."""

from __future__ import annotations

from typing import Any, TypeVar

import grpc
import httpx
from dui_kit.calls.credentials import ServiceToken
from dui_kit.calls.snapshots import Owner
from dui_kit.settings import ServiceSettings
from dui_kit.wire.clients import Client
from dui_kit.wire.status import DETAILS_KEY
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from dui_ops.state import StackError, no_answer

M = TypeVar("M", bound=Message)


class Account(ServiceToken):
    """The account of a service at Keycloak; StackError when it gets no token."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Nothing is asked yet."""
        super().__init__(settings)
        self._issuer, self._name = settings.oidc_issuer, settings.oidc_client_id

    def get(self, *, timeout: float = 5.0) -> str:
        """The access token."""
        try:
            return super().get(timeout=timeout)
        except httpx.HTTPStatusError as error:
            raise StackError(
                f"Keycloak refuses the account {self._name} (HTTP {error.response.status_code}): check its secret"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise StackError(no_answer("Keycloak", self._issuer)) from None


class Remote(Client):
    """A service; StackError when it does not answer, or refuses."""

    def __init__(self, name: str, target: str) -> None:
        """Nothing is called yet."""
        super().__init__(target)
        self._name, self._address = name, target

    def call(self, operation: str, request: Message, reply: type[M], *, token: str, timeout: float) -> M:
        """Calls `package.Service/Method`."""
        try:
            return super().call(operation, request, reply, token=token, timeout=timeout)
        except grpc.RpcError as error:
            raise StackError(self._told(error)) from None

    def _told(self, error: grpc.RpcError) -> str:
        if reasons := _reasons(error):
            return f"{self._name} refuses: {reasons}"
        match _asked(error, "code"):
            case grpc.StatusCode.UNAVAILABLE:
                return no_answer(self._name, self._address)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return (
                    f"{self._name} at {self._address} did not answer in time, and may have done it: repeat the command"
                )
            case code:
                return f"{self._name} at {self._address} fails: {code}"


class RemoteOwner(Owner):
    """An owner of access facts; StackError when it does not answer, or refuses."""

    def __init__(self, name: str, target: str, account: Account) -> None:
        """Nothing is called yet."""
        super().__init__(name, target, account)
        self._client = Remote(name, target)


def _reasons(error: grpc.RpcError) -> str:
    """What a refusal says: its reason, or that of each field with its remedy; empty when it is none."""
    metadata = dict(_asked(error, "trailing_metadata") or ())
    status = status_pb2.Status.FromString(metadata.get(DETAILS_KEY, b""))
    said = ""
    for detail in status.details:
        bad, message = error_details_pb2.BadRequest(), error_details_pb2.LocalizedMessage()
        if detail.Unpack(message):
            said = said or f"{message.message} ({status.message})"
        elif detail.Unpack(bad):
            said = "; ".join(f"{each.field}: {each.description} ({each.reason})" for each in bad.field_violations)
    return said


def _asked(error: grpc.RpcError, what: str) -> Any:
    """What a call raises is also its `grpc.Call`, with status and metadata; the types do not say so."""
    method = getattr(error, what, None)
    return method() if callable(method) else None
