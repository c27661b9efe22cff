"""Asking the owners of the facts, over gRPC and into a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import psycopg
import pytest
from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2
from dui_kit.calls.credentials import ServiceToken
from dui_kit.calls.refresh import Refresher
from dui_kit.db.database import make_engine
from dui_kit.ids import new_id
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
from dui_kit.testing import Harness, create_database

TENANT = new_id()


@pytest.fixture(scope="module")
def harness(postgres: str) -> Iterator[Harness]:
    service = Service("sample", ServiceSettings(sealing_key="22" * 32), servicers=[], migrations="sample_migrations")
    harness = Harness(service, create_database(postgres, "sample"))
    yield harness
    harness.close()


@pytest.fixture
def refresher(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Refresher]:
    """Asks an owner that answers that the association is open."""
    fact = facts_pb2.AccessFact(tenant=facts_pb2.TenantChanged(tenant_id=TENANT, version=7, active=True))
    handler = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: access_pb2.ListAccessFactsResponse(facts=[fact]),
        request_deserializer=access_pb2.ListAccessFactsRequest.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("dui.identity.v1.AccessFactService", {"ListAccessFacts": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # Only the identity provider is absent.
    monkeypatch.setattr(ServiceToken, "get", lambda _self, **_: "token")
    engine = make_engine(harness.database.app_url, pool_size=2, name="refresh")
    refresher = Refresher(ServiceSettings(identity_target=f"127.0.0.1:{port}"), engine)
    yield refresher
    refresher.close()
    engine.dispose()
    server.stop(None).wait()


def ask(refresher: Refresher) -> bool:
    return refresher.refresh(tenant_id=TENANT, subject="nurse", beneficiary_id="", facility_id="")


def test_what_the_owner_answers_is_in_the_projections(refresher: Refresher, harness: Harness) -> None:
    assert ask(refresher)
    assert harness.admin("SELECT active, version FROM access_tenant WHERE tenant_id = %s", (TENANT,)) == [(True, 7)]


def test_a_locked_projection_holds_nobody_longer_than_the_owners_may_take(
    refresher: Refresher, harness: Harness
) -> None:
    """As while projections are rebuilt: the call is then decided on the facts that are there."""
    ask(refresher)
    harness.admin("UPDATE access_tenant SET version = 1 WHERE tenant_id = %s", (TENANT,))
    with psycopg.connect(harness.database.admin_url) as holder:
        holder.execute("SELECT FROM access_tenant WHERE tenant_id = %s FOR UPDATE", (TENANT,))
        begun = time.monotonic()
        assert not ask(refresher)
        assert time.monotonic() - begun < 5
    assert ask(refresher)
