"""Schemathesis on the gateway alone: whatever is sent, the answer is one that the document announces.

Every call that gets through is answered well, so this is about the gateway's own half. The running platform is fuzzed in
tests/integration.
"""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import schemathesis
from cryptography.hazmat.primitives.asymmetric import ec
from dui.options.v1 import options_pb2
from dui_gateway import contract
from dui_gateway.app import build
from dui_gateway.contract import Operation
from dui_gateway.schemas import FORMATS
from dui_gateway.settings import GatewaySettings
from dui_gateway.upstream import Upstream
from dui_kit.wire.jwks import KeySet
from dui_kit.wire.tokens import TokenVerifier
from google.protobuf.message import Message
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ISSUER = "https://login.example/realms/dui"
RATES = [f"rate_limit_{kind}_per_second" for kind in ("subject", "tenant", "write")]
KEY = ec.generate_private_key(ec.SECP256R1())


OURS = tuple(contract.rest_messages().values())


def filled(message: Message) -> Message:
    """The message with an example in each text that has a format."""
    for field in message.DESCRIPTOR.fields:
        look = FORMATS.get(field.GetOptions().Extensions[options_pb2.format])
        if look is not None and not field.is_repeated:
            setattr(message, field.name, look["examples"][0])
        elif field.message_type in OURS and not field.is_repeated and field.containing_oneof is None:
            filled(getattr(message, field.name))
    return message


class Answering(Upstream):
    """Services that answer every call well."""

    def __init__(self) -> None:
        super().__init__({}, call_seconds=1)

    def call(self, operation: Operation, *_: Any, **__: Any) -> Message:
        answer = filled(operation.response())
        if operation.content_type:
            file: Any = getattr(answer, operation.response_body) if operation.response_body else answer
            file.content_type = operation.content_type
        return answer


def application() -> Any:
    public = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key()))
    document = json.dumps({"keys": [{**public, "kid": "k1", "alg": "ES256", "use": "sig"}]}).encode()
    chosen = GatewaySettings(**dict.fromkeys(RATES, 1e6))
    keys = KeySet("https://login.example/certs", None, fetch=lambda _url: document)
    verifier = TokenVerifier(ISSUER, "dui-api", chosen.clients, "", None, keys=keys)
    return build(chosen, verifier=verifier, upstream=Answering())


def bearer() -> str:
    now = int(time.time())
    organization = {"les-tilleuls": {"tenant_id": ["0190a1b2-0000-7000-8000-000000000001"]}}
    claims = {"iss": ISSUER, "aud": "dui-api", "azp": "dui-web", "sub": "s", "iat": now, "exp": now + 3600}
    return "Bearer " + jwt.encode({**claims, "organization": organization}, KEY, "ES256", headers={"kid": "k1"})


AUTHORIZATION = bearer()
schema = schemathesis.openapi.from_wsgi("/openapi.json", application())
# The systematic phase takes three times as long as all the rest and belongs to the run against the platform.
schema.config.phases.coverage.enabled = False


@schema.parametrize()
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_announced(case: Any) -> None:
    response = case.call(headers={"Authorization": AUTHORIZATION})
    case.validate_response(response, checks=CHECKS)
