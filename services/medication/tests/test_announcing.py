"""What medication announces reaches whoever reads it: through its own worker, with its own account, on a real NATS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
from dui_kit.settings import ServiceSettings
from dui_kit.testing import Database, Harness, create_database
from dui_kit.worker import Consumer, Event, WorkerCall
from dui_kit.worker.testing import FakeService, nats_running, running, soon
from dui_medication.app import build
from dui_medication.knowledge.importing import Files, write
from dui_medication.testing import TODAY, World, load
from pydantic import SecretStr

SUBJECTS = (
    "dui.medication.*.catalogue.v1.edition_changed",
    "dui.medication.*.interaction_knowledge.v1.edition_changed",
)


def thesaurus() -> Files:
    """The smallest edition, of invented substances."""
    entry = {
        "main_drug": "ZOLANUM",
        "between_main_and_plus_drug": "+",
        "plus_drug": "BRILINE",
        "severity_levels": [{"level": "CONTRE-INDICATION", "info": ""}],
        "interaction_mechanism": "Mécanisme d'essai.",
        "description": "",
    }
    index = [{"substance": "zolanum", "drug_classes": ["rêveurs"]}, {"substance": "briline", "drug_classes": []}]
    mirrored = entry | {"main_drug": "BRILINE", "plus_drug": "ZOLANUM"}
    return Files(date(2026, 3, 1), json.dumps([entry, mirrored]).encode(), json.dumps(index).encode())


def test_another_service_hears_of_each_edition_for_each_association(
    empty: Harness, postgres: str, tmp_path: Path
) -> None:
    tenants = sorted(World(empty, now=datetime.now(UTC)).tenant for _ in range(2))
    heard: list[tuple[str, str, str, int]] = []

    def hear(call: WorkerCall, event: Event) -> None:
        message: Any = event.message
        heard.append((event.source, call.tenant_id, message.source, message.version))

    reader = Consumer("planning", "editions", "DUI_MEDICATION", SUBJECTS, hear)
    # Every database has the tables of the kit, which are all that a worker needs.
    other = Harness(build(), create_database(postgres, "planning"))
    planning = FakeService("planning", ServiceSettings(), consumers=[reader])
    medication = build()

    async def scenario() -> None:
        await server.make_streams(medication, planning)
        load(empty)
        with psycopg.connect(empty.database.owner_url, autocommit=True) as connection:
            write(connection, thesaurus(), today=TODAY)
        async with running(medication), running(planning):
            await soon(lambda: len(heard) >= 4)
            # Nothing was refused, nothing waits.
            await soon(lambda: empty.admin("SELECT count(*), count(published_at) FROM outbox") == [(4, 4)])

    with nats_running(tmp_path / "nats", medication, planning) as server:

        def reached(database: Database, account: str) -> dict[str, SecretStr]:
            return {
                "database_url": SecretStr(database.app_url),
                "database_relay_url": SecretStr(database.relay_url),
                "nats_url": SecretStr(server.url_of(account)),
                "nats_owner_url": SecretStr(server.url),
            }

        medication = replace(
            medication, settings=medication.settings.model_copy(update=reached(empty.database, "medication"))
        )
        planning.settings = planning.settings.model_copy(update=reached(other.database, "planning"))
        asyncio.run(scenario())
    other.close()
    assert sorted(heard) == sorted(
        ("medication", tenant, source, 1) for tenant in tenants for source in ("FICTIVE", "ANSM")
    )
