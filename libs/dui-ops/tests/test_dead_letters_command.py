"""`dui dead-letters` on a real NATS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker.dead_letters import letter
from dui_kit.worker.delivery import REPLAY_FOR
from dui_kit.worker.parts import Consumer
from dui_kit.worker.testing import FakeService, Nats, free_port
from dui_ops.__main__ import main


@pytest.fixture
def nats_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nats]:
    server = Nats(tmp_path, free_port())
    server.start()
    monkeypatch.setenv("DUI_NATS_URL", server.url)
    yield server
    server.kill()


async def give_up(server: Nats, reason: str) -> None:
    """One event of records that the consumer of identity gave up."""
    async with server.client() as client:
        js = client.jetstream()
        await server.make_streams(FakeService("identity", ServiceSettings()))
        tenant = new_id()
        headers = {"ce-id": new_id(), "ce-type": "dui.access.v1.PersonChanged", "dui-tenant": tenant}
        await js.publish(f"dui.records.{tenant}.person.v1.changed", b"payload", headers=headers)
        subscription = await js.pull_subscribe("dui.records.>", durable=f"t{new_id()}", stream="DUI_RECORDS")
        fetched = await subscription.fetch(100, timeout=2)
        consumer = Consumer("identity", "access_records", "DUI_RECORDS", ("dui.records.>",), print)
        outgoing = letter(consumer, fetched[-1], tenant, reason, 5)
        await js.publish(outgoing.subject, outgoing.payload, headers=outgoing.headers)


async def last_message(server: Nats) -> tuple[int, dict[str, str]]:
    async with server.client() as client:
        js = client.jetstream()
        last = (await js.stream_info("DUI_RECORDS")).state.last_seq
        return last, (await js.get_msg("DUI_RECORDS", last)).headers or {}


def test_they_are_listed_and_sent_again(nats_server: Nats, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", "list"]) == 0
    assert capsys.readouterr().out == "0 dead letters\n"
    for reason in ("ValueError", "UNKNOWN_TYPE"):
        asyncio.run(give_up(nats_server, reason))
    assert main(["dead-letters", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(each["consumer"], each["reason"], each["deliveries"]) for each in listed] == [
        ("identity__access_records", "ValueError", 5),
        ("identity__access_records", "UNKNOWN_TYPE", 5),
    ]
    before, _ = asyncio.run(last_message(nats_server))
    assert main(["dead-letters", "replay", str(listed[0]["number"])]) == 0
    after, headers = asyncio.run(last_message(nats_server))
    assert after == before + 1
    assert headers[REPLAY_FOR] == "identity__access_records"
    assert headers["ce-id"] == listed[0]["event_id"]
    capsys.readouterr()
    assert main(["dead-letters", "list", "--consumer", "identity__access_records"]) == 0
    assert "1 dead letters" in capsys.readouterr().out
    assert main(["dead-letters", "replay", "--all"]) == 0
    assert main(["dead-letters", "replay", "999"]) == 2
    assert main(["dead-letters", "replay"]) == 2


def test_without_nats_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DUI_NATS_URL", f"nats://127.0.0.1:{free_port()}")
    assert main(["dead-letters", "list"]) == 2
    assert "NATS does not answer" in capsys.readouterr().err
