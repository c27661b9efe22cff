"""What somebody with all rights on the database can do to the journal is found out."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dui.journal.v1 import journal_pb2
from dui_identity.journal import heads, verify
from dui_identity.journal.rules import Defect, Head, digest, link
from dui_identity.journal.verify import Limits, Report, compare_counters
from dui_kit import signing
from dui_kit.db.database import raw, tenant_session
from dui_kit.ids import new_id
from dui_kit.times import micros
from sqlalchemy import text


@pytest.fixture
def tenant(journal: Any) -> str:
    """An association with twelve entries, the last signed head over the ninth."""
    tenant_id = new_id()
    for _ in range(3):
        journal.append(journal.batch(tenant_id, 3, beneficiary_id=new_id(), account_id=new_id()))
        journal.sign(tenant_id)
    journal.append(journal.batch(tenant_id, 3, beneficiary_id=new_id(), seen_beneficiary_ids=[new_id(), new_id()]))
    assert journal.verify(tenant_id).valid
    return tenant_id


def rechain(journal: Any, tenant_id: str, since: int) -> None:
    """Gives valid hashes to every entry from `since` on, and to the head: what a forger with all rights would do."""
    rows = journal.admin(
        "SELECT chain_index, appended_at, service, content, hash FROM journal_entry WHERE tenant_id = %s "
        "ORDER BY chain_index",
        (tenant_id,),
    )
    previous = next(bytes(row[4]) for row in rows if row[0] == since - 1)
    for chain_index, at, service, content, _ in rows:
        if chain_index >= since:
            previous = link(previous, chain_index, micros(at), service, bytes(content))
            journal.admin(
                "UPDATE journal_entry SET hash = %s WHERE tenant_id = %s AND chain_index = %s",
                (previous, tenant_id, chain_index),
            )
    journal.admin("UPDATE journal_head SET hash = %s WHERE tenant_id = %s", (previous, tenant_id))


def forge(journal: Any, tenant_id: str, chain_index: int) -> None:
    """Makes one entry say that somebody else did it."""
    [(content,)] = journal.admin(
        "SELECT content FROM journal_entry WHERE tenant_id = %s AND chain_index = %s", (tenant_id, chain_index)
    )
    entry = journal_pb2.JournalEntry.FromString(bytes(content))
    entry.account_id = new_id()
    journal.admin(
        "UPDATE journal_entry SET content = %s, account_id = %s WHERE tenant_id = %s AND chain_index = %s",
        (entry.SerializeToString(deterministic=True), entry.account_id, tenant_id, chain_index),
    )


def cut_tail(journal: Any, tenant_id: str, kept: int) -> None:
    """Removes the end of the chain and sets head and numbers back, without a trace in the database."""
    journal.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index > %s", (tenant_id, kept))
    journal.admin("DELETE FROM journal_subject WHERE tenant_id = %s AND chain_index > %s", (tenant_id, kept))
    journal.admin(
        "UPDATE journal_head h SET chain_index = e.chain_index, hash = e.hash FROM journal_entry e "
        "WHERE h.tenant_id = %s AND e.tenant_id = h.tenant_id AND e.chain_index = %s",
        (tenant_id, kept),
    )
    journal.admin("UPDATE journal_source SET last_sequence = %s WHERE tenant_id = %s", (kept, tenant_id))


def test_an_edited_entry_is_found(journal: Any, tenant: str) -> None:
    forge(journal, tenant, 5)
    [defect] = journal.verify(tenant).defects
    assert (defect.code, defect.chain_index) == ("HASH_MISMATCH", 5)


def test_an_edited_column_is_found(journal: Any, tenant: str) -> None:
    journal.admin(
        "UPDATE journal_entry SET account_id = %s WHERE tenant_id = %s AND chain_index = 2", (new_id(), tenant)
    )
    [defect] = journal.verify(tenant).defects
    assert (defect.code, defect.chain_index) == ("COLUMN_MISMATCH", 2)


def test_an_edited_instant_is_found(journal: Any, tenant: str) -> None:
    journal.admin(
        "UPDATE journal_entry SET appended_at = appended_at + interval '1 microsecond' "
        "WHERE tenant_id = %s AND chain_index = 3",
        (tenant,),
    )
    assert "HASH_MISMATCH" in journal.codes(tenant)


def test_a_hidden_viewer_is_found(journal: Any, tenant: str) -> None:
    journal.admin("DELETE FROM journal_subject WHERE tenant_id = %s AND chain_index = 11", (tenant,))
    assert journal.codes(tenant) == {"SUBJECT_MISMATCH"}


def test_an_invented_viewer_is_found(journal: Any, tenant: str) -> None:
    journal.admin(
        "INSERT INTO journal_subject SELECT tenant_id, %s, appended_at, chain_index FROM journal_entry "
        "WHERE tenant_id = %s AND chain_index = 4",
        (new_id(), tenant),
    )
    assert journal.codes(tenant) == {"SUBJECT_MISMATCH"}


def test_a_removed_middle_is_found(journal: Any, tenant: str) -> None:
    journal.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index = 6", (tenant,))
    assert {"MISSING_ENTRY", "SEQUENCE_GAP", "SUBJECT_MISMATCH"} == journal.codes(tenant)


def test_a_removed_last_entry_is_found(journal: Any, tenant: str) -> None:
    journal.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index = 12", (tenant,))
    assert "MISSING_TAIL" in journal.codes(tenant)


def test_a_tail_removed_with_its_head_is_found_by_the_signed_heads(journal: Any, tenant: str) -> None:
    cut_tail(journal, tenant, 8)
    assert journal.codes(tenant) == {"MISSING_TAIL"}
    # Also when the signed heads of the database are removed with it: the file has them.
    journal.admin("DELETE FROM journal_signed_head WHERE tenant_id = %s AND chain_index > 8", (tenant,))
    assert journal.codes(tenant) == {"MISSING_TAIL", "HEAD_MISSING"}


def test_a_tail_removed_after_the_last_signed_head_is_found_by_the_counters_of_the_services(
    journal: Any, tenant: str
) -> None:
    cut_tail(journal, tenant, 10)
    report = journal.verify(tenant)
    # This is the window that the documentation states: between two signed heads only the services can tell.
    assert report.valid
    assert compare_counters(report, given={"records": 12}, handed_over={"records": 12}) == [
        Defect("MISSING_TAIL", 11, "records handed over 12 entries, the chain has 10")
    ]
    assert compare_counters(report, given={"records": 12}, handed_over={"records": 10}) == []
    ahead = compare_counters(report, given={"records": 9}, handed_over={"records": 9})
    assert [each.code for each in ahead] == ["SEQUENCE_AHEAD"]


def test_a_dropped_month_is_found(journal: Any) -> None:
    tenant_id = new_id()
    now = datetime.now(UTC)
    for days in (100, 65, 0):
        journal.append(journal.batch(tenant_id, 4, beneficiary_id=new_id()), now - timedelta(days=days))
        journal.sign(tenant_id)
    assert journal.verify(tenant_id).valid
    month = now - timedelta(days=65)
    name = f"{month:%Y_%m}"
    journal.admin(f"ALTER TABLE journal_entry DETACH PARTITION journal_entry_{name}")
    try:
        assert {"MISSING_ENTRY", "SEQUENCE_GAP", "SUBJECT_MISMATCH"} == journal.codes(tenant_id)
        journal.admin(f"ALTER TABLE journal_subject DETACH PARTITION journal_subject_{name}")
        # Entries that are not there ask for no index of persons.
        assert {"MISSING_ENTRY", "SEQUENCE_GAP"} == journal.codes(tenant_id)
    finally:
        for table in ("journal_entry", "journal_subject"):
            journal.admin(f"DROP TABLE {table}_{name}")
        journal.admin("SELECT journal_create_partitions(%s)", (month.date(),))


def test_a_stretch_rewritten_with_valid_hashes_is_found(journal: Any, tenant: str) -> None:
    forge(journal, tenant, 5)
    rechain(journal, tenant, 5)
    assert journal.codes(tenant) == {"HEAD_MISMATCH"}
    # Also when the signed heads of the database are taken away: those of the file no longer lie on the chain.
    journal.admin("DELETE FROM journal_signed_head WHERE tenant_id = %s", (tenant,))
    assert journal.codes(tenant) == {"HEAD_MISMATCH", "HEAD_MISSING"}


def test_a_head_signed_by_another_key_is_found(journal: Any, tenant: str) -> None:
    forge(journal, tenant, 5)
    rechain(journal, tenant, 5)
    lines = []
    previous = ""
    for number, signed in enumerate(heads.read_file(journal.folder, tenant), start=1):
        head = Head.parse(signed.payload)
        [(value,)] = journal.admin(
            "SELECT hash FROM journal_entry WHERE tenant_id = %s AND chain_index = %s", (tenant, head.chain_index)
        )
        forged = Head(
            tenant_id=head.tenant_id,
            head_index=number,
            chain_index=head.chain_index,
            hash=bytes(value).hex(),
            appended_us=head.appended_us,
            sources=head.sources,
            signed_at=head.signed_at,
            previous=previous,
            key_id=head.key_id,
        ).payload()
        previous = digest(forged)
        journal.admin(
            "UPDATE journal_signed_head SET payload = %s WHERE tenant_id = %s AND head_index = %s",
            (forged, tenant, number),
        )
        lines.append(f"{signed.signature.hex()} {forged}\n")
    heads.heads_file(journal.folder, tenant).write_text("".join(lines))
    # The first head lies before the forged entry, and is still what was signed.
    assert journal.codes(tenant) == {"BAD_SIGNATURE"}


def test_heads_of_a_key_that_was_replaced_stay_valid_and_no_new_one_is(journal: Any) -> None:
    first, second, third = (Ed25519PrivateKey.generate() for _ in range(3))
    tenant = new_id()
    for keys in ((first,), (second, first), (second, first), (third, second, first)):
        journal.use_key(*keys)
        journal.append(journal.batch(tenant, 3))
        journal.sign(tenant)
    report = journal.verify(tenant)
    assert (report.valid, report.entries) == (True, 12)
    assert len({Head.parse(each.payload).key_id for each in heads.read_file(journal.folder, tenant)}) == 3

    # Whoever verifies needs every one of them, and only the public part.
    journal.use_key(third, second, first, public=True)
    assert journal.codes(tenant) == set()
    journal.use_key(third, second)
    assert journal.codes(tenant) == {"BAD_SIGNATURE"}

    # The key that was stolen and replaced signs once more.
    journal.append(journal.batch(tenant, 3))
    journal.use_key(second)
    journal.sign(tenant)
    journal.use_key(third, second, first)
    assert journal.codes(tenant) == {"BAD_SIGNATURE"}


def test_a_file_without_a_key_of_the_right_kind_is_refused(journal: Any) -> None:
    journal.key_file.write_bytes(b"no key")
    with pytest.raises(ValueError, match="holds no key in PEM"):
        journal.codes(new_id())
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    journal.key_file.write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ValueError, match="Ed25519"):
        journal.codes(new_id())


def test_a_file_of_heads_that_was_shortened_is_found(journal: Any, tenant: str) -> None:
    path = heads.heads_file(journal.folder, tenant)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1]))
    assert journal.codes(tenant) == {"HEAD_MISSING"}
    path.write_text("".join([lines[0], lines[2]]))
    assert journal.codes(tenant) == {"HEAD_MISSING", "HEAD_MISMATCH"}
    path.write_text("not a head\n" + "".join(lines))
    assert "BAD_SIGNATURE" in journal.codes(tenant)


def test_an_entry_appended_by_hand_is_found(journal: Any, tenant: str) -> None:
    journal.admin(
        "INSERT INTO journal_entry SELECT tenant_id, appended_at, 13, service, 13, account_id, denied, break_glass, "
        "content, hash FROM journal_entry WHERE tenant_id = %s AND chain_index = 12",
        (tenant,),
    )
    journal.admin("UPDATE journal_head SET chain_index = 13 WHERE tenant_id = %s", (tenant,))
    assert {"HASH_MISMATCH", "COLUMN_MISMATCH", "HEAD_MISMATCH"} <= journal.codes(tenant)


ROOMY = Limits(entries=1_000, heads=1_000, seconds=60.0)


def test_a_long_chain_may_be_read_from_a_signed_head_on(journal: Any, tenant: str) -> None:
    six = Limits(entries=6, heads=1_000, seconds=60.0)
    report: Report = journal.verify(tenant, limits=six)
    assert report.valid
    assert (report.entries, report.first_index, report.chain_index, report.end_index) == (6, 7, 12, 12)
    assert not report.whole
    assert report.anchor is not None
    assert report.anchor.chain_index == 9
    forge(journal, tenant, 8)
    assert journal.codes(tenant, limits=six) == {"HASH_MISMATCH"}
    assert journal.codes(tenant, limits=Limits(entries=4, heads=1_000, seconds=60.0)) == set()
    assert journal.codes(tenant) == {"HASH_MISMATCH"}


def test_a_short_chain_is_read_whole_within_limits_too(journal: Any, tenant: str) -> None:
    for limits in (None, ROOMY):
        report: Report = journal.verify(tenant, limits=limits)
        assert (report.first_index, report.chain_index, report.end_index) == (1, 12, 12)
        assert (report.whole, report.subjects_compared) == (True, True)
    empty: Report = journal.verify(new_id(), limits=ROOMY)
    assert (empty.valid, empty.whole, empty.entries, empty.first_index, empty.chain_index) == (True, True, 0, 0, 0)


@pytest.fixture
def one_second_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine so slow that every look at the clock is a second later."""
    clock = itertools.count()
    monkeypatch.setattr(verify, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))


@pytest.mark.usefixtures("one_second_an_entry")
def test_a_verification_stops_at_its_time_and_says_how_far_it_came(journal: Any, tenant: str) -> None:
    five = Limits(entries=1_000, heads=1_000, seconds=5.0)
    report: Report = journal.verify(tenant, limits=five)
    assert (report.valid, report.whole) == (True, False)
    assert (report.entries, report.first_index, report.chain_index, report.end_index) == (5, 1, 5, 12)
    forge(journal, tenant, 8)
    assert journal.codes(tenant, limits=five) == set()
    assert journal.codes(tenant) == {"HASH_MISMATCH"}
    forge(journal, tenant, 3)
    [defect] = journal.verify(tenant, limits=five).defects
    assert (defect.code, defect.chain_index) == ("HASH_MISMATCH", 3)


@pytest.mark.usefixtures("one_second_an_entry")
def test_a_tail_that_was_removed_is_found_by_the_signed_heads_however_far_the_reading_came(
    journal: Any, tenant: str
) -> None:
    cut_tail(journal, tenant, 8)
    [defect, *_] = journal.verify(tenant, limits=Limits(entries=1_000, heads=1_000, seconds=5.0)).defects
    assert (defect.code, defect.chain_index) == ("MISSING_TAIL", 9)


@pytest.mark.usefixtures("one_second_an_entry")
def test_an_index_of_persons_that_there_was_no_time_for_is_not_called_compared(journal: Any, tenant: str) -> None:
    """Twelve entries about eighteen persons."""
    twelve = Limits(entries=1_000, heads=1_000, seconds=12.0)
    journal.admin("DELETE FROM journal_subject WHERE tenant_id = %s AND chain_index = 12", (tenant,))
    journal.admin(
        "INSERT INTO journal_subject SELECT tenant_id, gen_random_uuid(), appended_at, chain_index FROM journal_entry "
        "WHERE tenant_id = %s",
        (tenant,),
    )
    report: Report = journal.verify(tenant, limits=twelve)
    assert (report.valid, report.entries, report.subjects_compared, report.whole) == (True, 12, False, False)
    assert journal.codes(tenant) == {"SUBJECT_MISMATCH"}


def test_an_index_of_persons_that_does_not_answer_does_not_hold_up_the_call(journal: Any, tenant: str) -> None:
    impatient = Limits(entries=1_000, heads=1_000, seconds=0.2)
    key_file = signing.known_keys(journal.key_file)
    with (
        psycopg.connect(journal.urls.admin_url) as other,
        tenant_session(journal.engine, tenant) as session,
    ):
        other.execute("LOCK TABLE journal_subject")
        report = verify.verify(raw(session), tenant, key_file, journal.folder, limits=impatient)
        assert (report.subjects_compared, report.whole) == (False, False)
        # The transaction of the call goes on, with the time that it had.
        assert session.scalar(text("SELECT current_setting('statement_timeout')")) != "200ms"


def test_within_limits_the_newest_signed_heads_are_looked_at(journal: Any, tenant: str) -> None:
    two = Limits(entries=1_000, heads=2, seconds=60.0)
    report: Report = journal.verify(tenant, limits=two)
    assert (report.valid, report.whole, report.first_index, report.chain_index) == (True, False, 7, 12)
    path = heads.heads_file(journal.folder, tenant)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["not a head\n", *lines[1:]]))
    assert journal.codes(tenant, limits=two) == set()
    assert "BAD_SIGNATURE" in journal.codes(tenant)
    path.write_text("".join([*lines[:2], "not a head\n"]))
    assert "BAD_SIGNATURE" in journal.codes(tenant, limits=two)
    path.write_text("".join([lines[0], lines[2]]))
    assert journal.codes(tenant, limits=two) == {"HEAD_MISSING", "HEAD_MISMATCH"}
