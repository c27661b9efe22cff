"""Asking the owners of the facts, over gRPC and into a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import psycopg
import pytest
from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2
from dui_kit.calls.credentials import ServiceToken
from dui_kit.calls.refresh import AT_ONCE, JOIN_SECONDS, PAUSE_SECONDS, Refresher
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


@dataclass
class Identity:
    """An owner that answers that the association is open; `hold`: it does not answer before that is set."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    hold: threading.Event | None = None

    def answer(self, request: access_pb2.ListAccessFactsRequest, _: object) -> access_pb2.ListAccessFactsResponse:
        self.asked.append(request.subject)
        self.entered.release()
        if self.hold is not None:
            self.hold.wait(10)
        fact = facts_pb2.AccessFact(tenant=facts_pb2.TenantChanged(tenant_id=TENANT, version=7, active=True))
        return access_pb2.ListAccessFactsResponse(facts=[fact])


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identity() -> Iterator[Identity]:
    owner = Identity()
    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, context: owner.answer(request, context),
        request_deserializer=access_pb2.ListAccessFactsRequest.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("dui.identity.v1.AccessFactService", {"ListAccessFacts": handler}),)
    )
    owner.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield owner
    if owner.hold is not None:
        owner.hold.set()
    server.stop(None).wait()


@pytest.fixture
def refresher(
    harness: Harness, identity: Identity, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Refresher]:
    # Only the identity provider is absent.
    monkeypatch.setattr(ServiceToken, "get", lambda _self, **_: "token")
    engine = make_engine(harness.database.app_url, pool_size=4, name="refresh")
    settings = ServiceSettings(identity_target=f"127.0.0.1:{identity.port}", refresh_seconds=2)
    refresher = Refresher(settings, engine, clock=clock)
    yield refresher
    refresher.close()
    engine.dispose()


def ask(refresher: Refresher, subject: str = "nurse", person: str = "") -> None:
    refresher.refresh(tenant_id=TENANT, subject=subject, beneficiary_id=person, facility_id="")


def version(harness: Harness) -> int:
    [(found,)] = harness.admin("SELECT version FROM access_tenant WHERE tenant_id = %s", (TENANT,))
    return int(found)


def forget(harness: Harness) -> None:
    harness.admin("UPDATE access_tenant SET version = 1 WHERE tenant_id = %s RETURNING 1", (TENANT,))


def test_what_the_owner_answers_is_in_the_projections(refresher: Refresher, harness: Harness) -> None:
    ask(refresher)
    assert version(harness) == 7


def test_a_locked_projection_holds_nobody_longer_than_the_owners_may_take(
    refresher: Refresher, harness: Harness, clock: Clock
) -> None:
    """As while projections are rebuilt: the call is then decided on the facts that are there."""
    ask(refresher)
    forget(harness)
    clock.now += 1
    with psycopg.connect(harness.database.admin_url) as holder:
        holder.execute("SELECT FROM access_tenant WHERE tenant_id = %s FOR UPDATE", (TENANT,))
        begun = time.monotonic()
        ask(refresher)
        assert time.monotonic() - begun < 5
    assert version(harness) == 1
    clock.now += 1
    ask(refresher)
    assert version(harness) == 7


def test_the_calls_of_one_page_share_an_answer_and_wait_for_it_a_moment_only(
    refresher: Refresher, identity: Identity, harness: Harness
) -> None:
    identity.hold = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, refresher)
        assert identity.entered.acquire(timeout=10)
        begun = time.monotonic()
        ask(refresher)
        assert JOIN_SECONDS <= time.monotonic() - begun < 1
        identity.hold.set()
        first.result(10)
    assert identity.asked == ["nurse"]
    assert version(harness) == 7


def test_who_goes_on_asking_for_what_they_may_not_see_leaves_the_others_their_threads(
    refresher: Refresher, identity: Identity
) -> None:
    identity.hold = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = [pool.submit(ask, refresher, subject) for subject in ("nosy", "curious")]
        assert all(identity.entered.acquire(timeout=10) for _ in held)
        begun = time.monotonic()
        ask(refresher, "nosy", person=new_id())
        ask(refresher, "nurse")
        assert time.monotonic() - begun < 1
        identity.hold.set()
        for each in held:
            each.result(10)
    assert sorted(identity.asked) == ["curious", "nosy"]


def test_an_owner_that_does_not_answer_is_left_alone_for_a_while(
    refresher: Refresher, identity: Identity, harness: Harness, clock: Clock
) -> None:
    ask(refresher, "somebody")
    forget(harness)
    identity.hold = threading.Event()
    for _ in range(2):  # gives up after its time; once may be an accident
        ask(refresher)
    identity.hold.set()
    clock.now += PAUSE_SECONDS - 0.1
    ask(refresher)
    assert (identity.asked, version(harness)) == (["somebody", "nurse", "nurse"], 1)
    clock.now += 0.2
    ask(refresher)
    assert version(harness) == 7
