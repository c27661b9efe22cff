"""`dui consumers` on a real NATS, and what an operator is told whose account may not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker.testing import FakeService, Nats, free_port
from dui_ops.__main__ import main


@pytest.fixture
def nats_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nats]:
    server = Nats(tmp_path, free_port())
    server.start()
    monkeypatch.setenv("DUI_NATS_URL", server.url)
    yield server
    server.kill()


async def fill(server: Nats) -> None:
    """Three events, of which one consumer has taken one and settled none."""
    async with server.client() as client:
        js = client.jetstream()
        await server.make_streams(FakeService("identity", ServiceSettings()))
        subscription = await js.pull_subscribe_bind("identity__access_records", stream="DUI_RECORDS")
        for _ in range(3):
            await js.publish(f"dui.records.{new_id()}.person.v1.changed", b"payload")
        await subscription.fetch(1, timeout=5)


def test_what_waits_is_told_by_consumer(nats_server: Nats, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["consumers"]) == 0
    assert capsys.readouterr().out == "0 consumers\n"
    asyncio.run(fill(nats_server))
    assert main(["consumers"]) == 0
    [line, total] = capsys.readouterr().out.splitlines()
    assert line.split() == ["identity__access_records", "2", "pending", "1", "unsettled"]
    assert total == "1 consumers"


def test_nats_that_is_away_is_said_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUI_NATS_URL", f"nats://127.0.0.1:{free_port()}")
    assert main(["consumers"]) == 2
    assert "NATS does not answer" in capsys.readouterr().err
