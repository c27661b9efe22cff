"""What the account of a service may do at NATS, on a server with these permissions: its own work goes on, and nothing else is
possible with its password."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dui.access.v1 import facts_pb2
from dui_kit.ids import new_id
from dui_kit.worker import Consumer, Event, JournalKeeper, WorkerCall, announcing
from dui_kit.worker.connection import inbox_prefix
from dui_kit.worker.dead_letters import letters
from dui_kit.worker.streams import JOURNAL_STREAM, backlogs
from dui_kit.worker.testing import FakeService, Nats, nats_running, running, soon
from nats.aio.client import Client
from nats.js import JetStreamContext

TENANT = "01a00000-0000-7000-8000-000000000001"


def keep(call: WorkerCall, event: Event) -> None:
    """Stands at the place of the chain: what counts here is that the batch arrives."""


KEEPER = Consumer("identity", "journal", JOURNAL_STREAM, ("dui.journal.>",), keep, idempotent=True, sent_again=True)
REACH = "SELECT NULL::text, NULL::text, NULL::bigint, NULL::text WHERE false"


class Platform:
    """identity, records and a service that reads both, each with its own account."""

    def __init__(self, make_store: Callable[[str], Any]) -> None:
        self.stores = {name: make_store(name) for name in ("identity", "records", "planning")}

    def join(self, server: Nats) -> None:
        """Their accounts are those of this server."""
        self.server = server
        for name, store in self.stores.items():
            store.nats_url, store.nats_owner_url = server.url_of(name), server.url

    def service(self, name: str) -> FakeService:
        found = FakeService(name, self.stores[name].settings(), heartbeat=name != "planning")
        if name == "identity":
            found.consumers = [KEEPER]
            found.journal_keeper = JournalKeeper(KEEPER, REACH)
        return found

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[JetStreamContext]:
        """Their workers, and somebody who may look everywhere."""
        await self.server.make_streams(*map(self.service, self.stores))
        async with (
            self.server.client() as admin,
            running(self.service("identity")),
            running(self.service("records")),
            running(self.service("planning")),
        ):
            yield admin.jetstream()

    def tenant(self) -> str:
        """An association that all of them know."""
        tenant_id = self.stores["identity"].tenant()
        for name in ("records", "planning"):
            statement = "INSERT INTO access_tenant (tenant_id, active, version) VALUES (%s, true, 1)"
            self.stores[name].admin(statement, (tenant_id,))
        return str(tenant_id)

    async def works(self, tenant_id: str) -> None:
        """Facts, journal and announcements of every service arrive."""
        person, policy = new_id(), f"profession-{new_id()}"
        records, identity, planning = (self.stores[name] for name in ("records", "identity", "planning"))
        records.write(tenant_id, facts_pb2.PersonChanged(beneficiary_id=person, version=1))
        identity.write(tenant_id, facts_pb2.AccountChanged(account_id=new_id(), version=1, subject=policy, active=True))
        for store in (records, planning):
            store.journal(tenant_id, 1)
        for reader in (identity, planning):
            await soon(lambda r=reader: r.admin("SELECT 1 FROM access_person WHERE beneficiary_id = %s", (person,)))
        for reader in (records, planning):
            await soon(lambda r=reader: r.admin("SELECT 1 FROM access_account WHERE subject = %s", (policy,)))
        async with self.server.client() as admin:
            js = admin.jetstream()

            async def nothing_waits() -> bool:
                return all(each.pending + each.unsettled == 0 for each in await backlogs(js))

            await soon(nothing_waits)


@pytest.fixture
def platform(make_store: Callable[[str], Any], tmp_path: Path) -> Iterator[Platform]:
    made = Platform(make_store)
    with nats_running(tmp_path / "accounts", *(made.service(name) for name in made.stores)) as server:
        made.join(server)
        yield made


class Intruder:
    """Somebody with the password of a service, who tries things and hears what the server says to each."""

    def __init__(self, client: Client, refusals: list[str]) -> None:
        self._client = client
        self._refusals = refusals
        self.allowed: list[str] = []

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        before = len(self._refusals)
        await self._client.publish(subject, payload, reply=reply)
        await self._note(f"publish {subject}", before)

    async def listen(self, subject: str) -> None:
        before = len(self._refusals)
        await self._client.subscribe(subject)
        await self._note(f"subscribe {subject}", before)

    async def _note(self, what: str, before: int) -> None:
        # The server answers in the order of what it was sent. The first ping may overtake what is written, the second does not.
        await self._client.flush()
        await self._client.flush()
        if len(self._refusals) == before:
            self.allowed.append(what)


@asynccontextmanager
async def intruder(server: Nats, account: str) -> AsyncIterator[Intruder]:
    refusals: list[str] = []

    async def refused(error: Exception) -> None:
        if "permissions violation" in str(error):
            refusals.append(str(error))

    options = {"error_cb": refused, "inbox_prefix": inbox_prefix(account), "allow_reconnect": False}
    async with server.client(account, **options) as client:
        yield Intruder(client, refusals)


def test_with_the_password_of_records_nothing_can_be_done_in_anothers_name(platform: Platform) -> None:
    tenant = platform.tenant()

    async def scenario() -> list[str]:
        async with platform.at_work() as js, intruder(platform.server, "records") as records:
            await platform.works(tenant)
            before = await state(js)
            config = json.dumps(
                {
                    "name": "DUI_RECORDS",
                    "subjects": ["dui.records.>"],
                    "republish": {"src": ">", "dest": f"dui.journal.identity.{tenant}"},
                }
            ).encode()
            for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "MSG.GET", "MSG.DELETE", "LEADER.STEPDOWN"):
                for stream in ("DUI_RECORDS", "DUI_IDENTITY", "DUI_JOURNAL", "DUI_DEAD_LETTERS"):
                    await records.publish(f"$JS.API.STREAM.{verb}.{stream}", config)
            for call in ("INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.DUI_IDENTITY", "DIRECT.GET.DUI_JOURNAL"):
                await records.publish(f"$JS.API.{call}")
            for stream, durable in (
                ("DUI_JOURNAL", "identity__journal"),
                ("DUI_RECORDS", "identity__access_records"),
                ("DUI_IDENTITY", "planning__access_identity"),
            ):
                for verb in ("DELETE", "INFO", "MSG.NEXT", "DURABLE.CREATE", "CREATE", "PAUSE", "UNPIN"):
                    await records.publish(f"$JS.API.CONSUMER.{verb}.{stream}.{durable}")
                await records.publish(f"$JS.ACK.{stream}.{durable}.1.1.1.1.0")
            # Neither may it make one of its own, change or delete the one that it has.
            for verb in ("CREATE", "DURABLE.CREATE", "DELETE"):
                await records.publish(f"$JS.API.CONSUMER.{verb}.DUI_IDENTITY.records__access_identity")
            await records.publish("$JS.API.CONSUMER.CREATE.DUI_IDENTITY")
            for subject in (
                f"dui.identity.{tenant}.assignment.v1.changed",
                f"dui.journal.identity.{tenant}",
                f"dui.dead.identity.journal.{tenant}",
                f"{inbox_prefix('identity')}.x",
                "_INBOX.x",
            ):
                await records.publish(subject)
            for subject in (">", "dui.>", f"dui.journal.identity.{tenant}", "_INBOX.>", "$JS.API.>", "$SYS.>"):
                await records.listen(subject)
            await records.listen(f"{inbox_prefix('identity')}.>")
            # An acknowledgement for another cannot be had by way of an answer either.
            await records.publish(
                f"dui.records.{tenant}.person.v1.changed", reply="$JS.ACK.DUI_JOURNAL.identity__journal.1.1.1.1.0"
            )
            assert await state(js) == before
            await platform.works(tenant)
            return records.allowed

    assert asyncio.run(scenario()) == []


async def state(js: JetStreamContext) -> object:
    """Configuration and consumers of every stream."""
    return [
        (
            info.config,
            sorted(
                (each.name, each.config.filter_subjects or [])
                for each in await js.consumers_info(info.config.name or "")
            ),
        )
        for info in await js.streams_info()
    ]


def test_an_answer_that_is_led_astray_is_nobodys_word(platform: Platform) -> None:
    """The server answers wherever a request says, so a service can have it write into another's subjects: its own words, never
    those of the service. They have no envelope: readers lay them down, and believe nothing."""
    tenant = platform.tenant()

    async def scenario() -> list[tuple[str, str]]:
        async with platform.at_work() as js, intruder(platform.server, "records") as records:
            await platform.works(tenant)
            told = platform.stores["planning"].admin("SELECT count(*), sum(version) FROM access_account")
            for request in (f"dui.records.{tenant}.person.v1.changed", "$JS.API.STREAM.INFO.DUI_RECORDS"):
                await records.publish(request, reply=f"dui.identity.{tenant}.account.v1.changed")
            assert len(records.allowed) == 2

            async def laid_down() -> list[Any] | None:
                found = [each async for each in letters(js) if each.consumer == "planning__access_identity"]
                return found if len(found) == 2 else None

            found = await soon(laid_down)
            assert platform.stores["planning"].admin("SELECT count(*), sum(version) FROM access_account") == told
            await platform.works(tenant)
            return [(each.reason, each.tenant_id) for each in found]

    assert asyncio.run(scenario()) == [("MALFORMED", ""), ("MALFORMED", "")]


def test_every_service_works_with_its_permissions_and_is_told_what_it_asks(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "EVERY_SECONDS", 0.1)
    tenant = platform.tenant()

    def heard(reader: str) -> list[str]:
        statement = "SELECT source FROM access_heartbeat WHERE tenant_id = %s ORDER BY source"
        return [row[0] for row in platform.stores[reader].admin(statement, (tenant,))]

    async def scenario() -> None:
        async with platform.at_work():
            await platform.works(tenant)
            for reader, sources in (("records", ["identity"]), ("planning", ["identity", "records"])):
                await soon(lambda r=reader, s=sources: heard(r) == s)
            # It asked JetStream how its own consumer stands: the instant is known only then.
            settled = "SELECT 1 FROM journal_reached WHERE tenant_id = %s AND settled_at IS NOT NULL"
            for reader in ("identity", "records", "planning"):
                await soon(lambda r=reader: platform.stores[r].admin(settled, (tenant,)))

    asyncio.run(scenario())
