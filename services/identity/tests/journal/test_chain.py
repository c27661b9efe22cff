"""Entries come in batches, once each, in the order of their numbers, and nothing is skipped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dui_identity.journal import chain, heads
from dui_identity.journal.tables import JournalEntry, JournalHead, JournalSignedHead, JournalSource, JournalSubject
from dui_identity.testing import JournalWriter
from dui_kit.calls.outbox import Outbox
from dui_kit.db.database import raw, tenant_session
from dui_kit.ids import new_id
from dui_kit.settings import ServiceSettings
from dui_kit.worker import Event, Reject, WorkerCall, WorkerContext
from sqlalchemy import select


def test_batches_of_several_services_become_one_chain(journal: Any) -> None:
    tenant = new_id()
    for service, count in (("records", 3), ("identity", 2), ("records", 5)):
        journal.append(journal.batch(tenant, count, service=service))
    report = journal.verify(tenant)
    assert report.valid
    assert report.entries == 10
    assert report.sources == {"records": 8, "identity": 2}


def test_a_batch_that_comes_again_or_overlaps_is_appended_once(journal: Any) -> None:
    tenant = new_id()
    first = journal.batch(tenant, 4)
    journal.append(first)
    journal.append(first)
    second = journal.batch(tenant, 3)
    second.entries.insert(0, first.entries[-1])
    journal.append(second)
    assert journal.verify(tenant).entries == 7
    assert journal.verify(tenant).valid


def test_nothing_is_appended_behind_a_gap_until_the_missing_batch_has_come(journal: Any) -> None:
    tenant = new_id()
    missing, early = journal.batch(tenant, 2), journal.batch(tenant, 2)
    journal.append(early)
    assert journal.verify(tenant).entries == 0
    journal.append(missing)
    journal.append(early)
    assert journal.verify(tenant).sources == {"records": 4}


def test_a_number_that_comes_back_as_another_entry_is_refused(journal: Any) -> None:
    """A service whose database was set back gives its numbers a second time."""
    tenant = new_id()
    kept = journal.batch(tenant, 5)
    journal.append(kept)
    for first, count in ((5, 2), (5, 1), (1, 2), (2, 3)):
        with pytest.raises(Reject, match="SEQUENCE_REUSED"):
            journal.append(journal.batch(tenant, count, first=first))
    journal.append(kept)
    assert journal.verify(tenant).entries == 5


def test_the_journal_of_a_database_that_was_set_back_is_not_taken_for_the_one_that_is_there(journal: Any) -> None:
    """Once it has written as many entries as it lost, its next number is the next of the chain: the entry before tells."""
    tenant = new_id()
    journal.append(journal.batch(tenant, 2))
    for count in (1, 3):
        set_back = JournalWriter(tenant)
        set_back.batch(2)
        with pytest.raises(Reject, match="SEQUENCE_REUSED"):
            journal.append(set_back.batch(count))
    assert journal.verify(tenant).entries == 2
    journal.append(journal.batch(tenant, 1))
    assert journal.verify(tenant).sources == {"records": 3}


def test_a_batch_of_another_service_or_association_than_its_subject_says_is_refused(journal: Any) -> None:
    tenant = new_id()
    batch = journal.batch(tenant, 1)
    for tenant_id, source in ((tenant, "planning"), (tenant, ""), (new_id(), "records")):
        event = Event(new_id(), tenant_id, "dui.journal.v1.JournalBatch", source, batch)
        with tenant_session(journal.engine, tenant_id) as session:
            call = WorkerCall(session, tenant_id, datetime.now(UTC), Outbox("identity", tenant_id))
            with pytest.raises(Reject, match="WRONG_BATCH"):
                chain.append(call, event)
    assert journal.verify(tenant).entries == 0


def test_two_appenders_at_once_make_one_chain(journal: Any) -> None:
    tenant = new_id()
    lots = {service: [journal.batch(tenant, 4, service=service) for _ in range(10)] for service in ("a", "b", "c")}
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda batches: [journal.append(batch) for batch in batches], lots.values()))
    report = journal.verify(tenant)
    assert report.valid
    assert (report.entries, report.sources) == (120, {"a": 40, "b": 40, "c": 40})


def test_a_clock_that_was_set_back_does_not_turn_the_chain_round(journal: Any) -> None:
    tenant = new_id()
    now = datetime.now(UTC)
    journal.append(journal.batch(tenant, 2), now)
    journal.append(journal.batch(tenant, 2), now - timedelta(minutes=5))
    assert journal.verify(tenant).valid


def test_partitions_are_made_two_months_ahead(journal: Any) -> None:
    tenant = new_id()
    now = datetime.now(UTC)
    later = now + timedelta(days=200)
    journal.append(journal.batch(tenant, 1), now)
    journal.append(journal.batch(tenant, 1), later)
    names = {row[0] for row in journal.admin("SELECT relname FROM pg_class WHERE relname ~ '^journal_entry_2'")}
    assert f"journal_entry_{now:%Y_%m}" in names
    assert f"journal_entry_{later:%Y_%m}" in names
    assert len(names) >= 6
    assert journal.verify(tenant).valid
    with pytest.raises(psycopg.errors.RaiseException):
        journal.append(journal.batch(tenant, 1), now + timedelta(days=2000))


def test_partitions_are_protected_like_the_table(journal: Any) -> None:
    rows = journal.admin(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class "
        "WHERE relkind = 'r' AND relname ~ '^journal_(entry|subject)_2'"
    )
    assert rows
    assert all(enabled and forced for _, enabled, forced in rows)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_entry SET denied = false",
        "DELETE FROM journal_entry",
        "TRUNCATE journal_entry",
        "DELETE FROM journal_subject",
        "UPDATE journal_signed_head SET payload = ''",
        "DELETE FROM journal_signed_head",
        "DELETE FROM journal_head",
        "CREATE TABLE journal_entry_1999_01 PARTITION OF journal_entry DEFAULT",
    ],
)
def test_the_app_role_can_only_append(journal: Any, statement: str) -> None:
    tenant = new_id()
    journal.append(journal.batch(tenant, 1))
    with (
        tenant_session(journal.engine, tenant) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        raw(session).execute(statement.encode())


def test_an_association_sees_nothing_of_the_journal_of_another(journal: Any) -> None:
    mine, other = new_id(), new_id()
    for tenant in (mine, other):
        journal.append(journal.batch(tenant, 2, beneficiary_id=new_id()))
        journal.sign(tenant)
    with tenant_session(journal.engine, mine) as session:
        for table in (JournalEntry, JournalSubject, JournalHead, JournalSource, JournalSignedHead):
            found = session.execute(select(table.tenant_id).distinct()).scalars().all()
            assert found == [mine], table.__tablename__


def test_a_head_is_signed_only_when_the_chain_has_grown(journal: Any) -> None:
    tenant = new_id()
    journal.sign(tenant)
    assert heads.read_file(journal.folder, tenant) == []
    journal.append(journal.batch(tenant, 2))
    journal.sign(tenant)
    journal.sign(tenant)
    assert len(heads.read_file(journal.folder, tenant)) == 1
    assert len(journal.admin("SELECT 1 FROM journal_signed_head WHERE tenant_id = %s", (tenant,))) == 1


def test_the_first_entries_are_signed_at_once_and_the_next_ones_when_the_head_is_old_or_the_worker_ends(
    journal: Any,
) -> None:
    tenant = new_id()
    context = WorkerContext("identity", journal.engine, ServiceSettings(), lambda: [tenant])
    job = heads.heads_job(journal.key_file, journal.folder, 3600)
    assert job.every_seconds == heads.LOOK_SECONDS

    def signed() -> int:
        return len(heads.read_file(journal.folder, tenant))

    for expected, run in ((1, context), (1, context), (2, replace(context, ending=True))):
        journal.append(journal.batch(tenant, 1))
        job.run(run)
        assert signed() == expected
    journal.append(journal.batch(tenant, 1))
    heads.heads_job(journal.key_file, journal.folder, 0.001).run(context)
    assert signed() == 3


def test_a_line_of_heads_cut_off_by_a_crash_is_written_again(journal: Any) -> None:
    tenant = new_id()
    for _ in range(3):
        journal.append(journal.batch(tenant, 2))
        journal.sign(tenant)
    path = heads.heads_file(journal.folder, tenant)
    whole = path.read_bytes()
    path.write_bytes(whole[: -len(whole.splitlines()[-1]) // 2])
    journal.append(journal.batch(tenant, 1))
    journal.sign(tenant)
    assert path.read_bytes().startswith(whole)
    assert journal.verify(tenant).valid


def test_months_are_asked_for_once_they_are_there(journal: Any) -> None:
    tenant = new_id()
    journal.append(journal.batch(tenant, 1))
    journal.append(journal.batch(tenant, 1))
    assert (datetime.now(UTC).year, datetime.now(UTC).month) in chain._ready_months
