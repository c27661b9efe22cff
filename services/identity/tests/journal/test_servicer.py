"""The journal as the data-protection officer reads it, through the guard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dui.access.v1 import facts_pb2
from dui.identity.v1 import journal_pb2 as pb
from dui.identity.v1 import professions_pb2
from dui.journal.v1 import journal_pb2
from dui.options.v1 import options_pb2
from dui_identity.journal import chain, heads, servicer
from dui_identity.journal.servicer import JournalServicer
from dui_identity.journal.verify import Limits, verify
from dui_identity.testing import Association, JournalWriter, append_batch, open_association
from dui_kit import signing
from dui_kit.db.database import raw, tenant_session
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from sqlalchemy import text

READ = "dui.records.v1.BeneficiaryService/GetBeneficiary"


class Reader:
    """An association with a data-protection officer and entries in its journal."""

    def __init__(self, harness: Harness) -> None:
        chain.forget_partitions()
        self.association: Association = open_association(harness)
        self.officer_account, self.officer = self.association.person(professions_pb2.PROFESSION_DATA_PROTECTION_OFFICER)
        self.writer = JournalWriter(self.association.tenant_id)
        self.persons: list[str] = []
        self.accounts: list[str] = []

    def append(self, **entry: Any) -> str:
        """One entry of records; its id."""
        batch = self.writer.batch(1, **{"operation": READ, "outcome": journal_pb2.JOURNAL_OUTCOME_ALLOWED} | entry)
        append_batch(self.association.harness.engine, batch)
        return batch.entries[0].entry_id

    def person(self, surviving_id: str | None = None) -> str:
        """A person whom records knows."""
        fact = facts_pb2.PersonChanged(beneficiary_id=new_id(), version=1, surviving_id=surviving_id)
        self.association.harness.facts(self.association.tenant_id, [fact])
        return fact.beneficiary_id

    def entries(self, **request: Any) -> pb.ListJournalEntriesResponse:
        reply: pb.ListJournalEntriesResponse = self.association.call(
            "JournalService/ListJournalEntries", pb.ListJournalEntriesRequest(**request), as_=self.officer
        )
        return reply

    def accesses(self, beneficiary_id: str, **request: Any) -> pb.ListRecordAccessesResponse:
        reply: pb.ListRecordAccessesResponse = self.association.call(
            "JournalService/ListRecordAccesses",
            pb.ListRecordAccessesRequest(beneficiary_id=beneficiary_id, **request),
            as_=self.officer,
        )
        return reply

    def verify(self) -> pb.VerifyJournalResponse:
        reply: pb.VerifyJournalResponse = self.association.call(
            "JournalService/VerifyJournal", pb.VerifyJournalRequest(), as_=self.officer
        )
        return reply


@pytest.fixture
def reader(harness: Harness) -> Reader:
    return Reader(harness)


def test_the_journal_is_read_newest_first_with_the_names_of_the_staff(reader: Reader) -> None:
    person = reader.person()
    first = reader.append(
        account_id=reader.officer_account,
        beneficiary_id=person,
        category=options_pb2.CATEGORY_MEDICAL,
        action=options_pb2.ACTION_READ,
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )
    second = reader.append(subject="service")
    entries = reader.entries().entries
    assert [entry.entry_id for entry in entries] == [second, first]
    assert [entry.chain_index for entry in entries] == [2, 1]
    assert entries[1].professional_name.startswith("Camille Martin")
    assert (entries[1].service, entries[1].operation, entries[1].beneficiary_id) == ("records", READ, person)
    assert entries[1].category == options_pb2.CATEGORY_MEDICAL
    assert not entries[0].HasField("professional_name")
    assert not entries[0].HasField("account_id")


def test_an_access_is_told_in_the_words_of_the_field(reader: Reader) -> None:
    """Request, acceptance and entry are all "write, administrative": only the operation tells them apart."""
    person = reader.person()
    told = {
        "dui.records.v1.AdmissionService/CreateAdmission": "Demande d'admission",
        "dui.records.v1.AdmissionService/AcceptAdmission": "Acceptation d'une demande d'admission",
        "dui.records.v1.StayService/CreateStay": "Entrée de la personne",
        "dui.records.v9.StayService/ForetellStay": "",  # of a later version
    }
    for operation in told:
        reader.append(operation=operation, beneficiary_id=person)
    for entries in (reader.accesses(person).entries, reader.entries().entries):
        assert {entry.operation: entry.operation_label for entry in entries} == told


def test_the_journal_is_filtered_and_paged(reader: Reader) -> None:
    denied = [
        reader.append(
            outcome=journal_pb2.JOURNAL_OUTCOME_DENIED, reason="RIGHT_MISSING", account_id=reader.officer_account
        )
        for _ in range(5)
    ]
    glass = reader.append(break_glass=True)
    mine = [reader.append(account_id=reader.officer_account) for _ in range(3)]
    assert [entry.entry_id for entry in reader.entries(break_glass_only=True).entries] == [glass]
    assert {entry.entry_id for entry in reader.entries(account_id=reader.officer_account).entries} == {*denied, *mine}
    found: list[str] = []
    token = ""
    while True:
        page = reader.entries(denied_only=True, page_size=2, page_token=token)
        found += [entry.entry_id for entry in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found == denied[::-1]


def test_who_saw_a_record_counts_lists_and_searches_and_merged_records(reader: Reader) -> None:
    person = reader.person()
    duplicate = reader.person(surviving_id=person)
    stranger = reader.person()
    direct = reader.append(beneficiary_id=person)
    shown = reader.append(seen_beneficiary_ids=[stranger, person])
    under_the_old_id = reader.append(beneficiary_id=duplicate)
    both = reader.append(beneficiary_id=duplicate, seen_beneficiary_ids=[person, duplicate])
    reader.append(beneficiary_id=stranger)
    expected = [both, under_the_old_id, shown, direct]
    assert [entry.entry_id for entry in reader.accesses(person).entries] == expected
    assert [entry.entry_id for entry in reader.accesses(duplicate).entries] == expected
    first = reader.accesses(person, page_size=3)
    rest = reader.accesses(person, page_size=3, page_token=first.next_page_token)
    assert [entry.entry_id for entry in [*first.entries, *rest.entries]] == expected
    assert not rest.next_page_token


def test_a_person_of_another_association_is_not_found(reader: Reader, harness: Harness) -> None:
    elsewhere = Reader(harness).person()
    for unknown in (elsewhere, new_id()):
        with pytest.raises(CallFailed) as refused:
            reader.accesses(unknown)
        assert (refused.value.code, refused.value.field) == ("NOT_FOUND", "beneficiary_id")


def test_the_journal_is_closed_to_those_without_the_right(reader: Reader) -> None:
    _, nurse = reader.association.person(professions_pb2.PROFESSION_NURSE)
    with pytest.raises(CallFailed) as refused:
        reader.association.call("JournalService/ListJournalEntries", pb.ListJournalEntriesRequest(), as_=nurse)
    assert refused.value.code == "PERMISSION_DENIED"


@pytest.fixture
def keys(tmp_path: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The key and the folder of heads that the service under test is given."""
    key_file, folder = tmp_path / "key.pem", tmp_path / "heads"
    folder.mkdir()
    key_file.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for answering in harness.service.servicers:
        if isinstance(answering, JournalServicer):
            monkeypatch.setattr(answering, "_key_file", key_file)
            monkeypatch.setattr(answering, "_heads_dir", folder)
    return key_file, folder


def test_verification_tells_what_is_signed_and_what_is_wrong(reader: Reader, keys: tuple[Path, Path]) -> None:
    key_file, folder = keys
    tenant_id = reader.association.tenant_id
    for _ in range(3):
        reader.append()
    with tenant_session(reader.association.harness.engine, tenant_id) as session:
        heads.sign_head(raw(session), tenant_id, signing.SigningKey(key_file))
    with tenant_session(reader.association.harness.engine, tenant_id) as session:
        heads.export(raw(session), tenant_id, folder)
    reader.append()

    reply = reader.verify()
    assert (reply.valid, reply.entries, reply.signed_head_index) == (True, 4, 3)
    assert (reply.whole, reply.first_index, reply.last_index, reply.end_index) == (True, 1, 4, 4)
    assert reply.subjects_compared
    assert abs(reply.signed_head_at.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() < 60
    reader.association.harness.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index = 2", (tenant_id,))
    reply = reader.verify()
    assert not reply.valid
    assert ("MISSING_ENTRY", 2) in {(defect.code, defect.chain_index) for defect in reply.defects}


def test_of_a_long_journal_the_newest_stretch_is_verified_and_the_answer_says_which(
    reader: Reader, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file, folder = keys
    engine, tenant_id = reader.association.harness.engine, reader.association.tenant_id
    for _ in range(3):
        reader.append()
        reader.append()
        with tenant_session(engine, tenant_id) as session:
            heads.sign_head(raw(session), tenant_id, signing.SigningKey(key_file))
        with tenant_session(engine, tenant_id) as session:
            heads.export(raw(session), tenant_id, folder)
    monkeypatch.setattr(servicer, "VERIFIED_BY_CALL", Limits(entries=3, heads=1_000, seconds=60.0))
    reply = reader.verify()
    assert (reply.valid, reply.whole, reply.entries) == (True, False, 2)
    assert (reply.first_index, reply.last_index, reply.end_index) == (5, 6, 6)
    # A defect before it is for the operator, who reads the whole chain.
    reader.association.harness.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index = 2", (tenant_id,))
    assert reader.verify().valid
    with tenant_session(engine, tenant_id) as session:
        report = verify(raw(session), tenant_id, signing.known_keys(key_file), folder)
    assert ("MISSING_ENTRY", 2) in {(defect.code, defect.chain_index) for defect in report.defects}
    # One inside it is found by the call.
    reader.association.harness.admin("DELETE FROM journal_entry WHERE tenant_id = %s AND chain_index = 5", (tenant_id,))
    assert {defect.code for defect in reader.verify().defects} >= {"MISSING_ENTRY"}


@pytest.mark.usefixtures("keys")
def test_one_verification_runs_at_a_time_and_nobody_waits_for_it(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four threads serve everybody: a second verification is refused at once, not queued."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(*args: Any, **limits: Any) -> Any:
        begun.set()
        assert may_end.wait(30)
        return verify(*args, **limits)

    monkeypatch.setattr(servicer, "verify", slow)
    with ThreadPoolExecutor(max_workers=1) as another:
        try:
            first = another.submit(reader.verify)
            assert begun.wait(30)
            for _ in range(5):
                with pytest.raises(CallFailed) as refused:
                    reader.verify()
                assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "VERIFICATION_UNDER_WAY")
            assert not first.done()
            assert not reader.entries().entries
        finally:
            may_end.set()
        assert first.result().valid
    assert reader.verify().valid


def test_a_verification_that_fails_is_not_under_way_any_more(reader: Reader, keys: tuple[Path, Path]) -> None:
    key_file, _ = keys
    key = key_file.read_bytes()
    key_file.write_bytes(b"no key")
    with pytest.raises(ValueError, match="PEM"):
        reader.verify()
    key_file.write_bytes(key)
    assert reader.verify().valid


@pytest.fixture(scope="module")
def long_journal(harness: Harness) -> Reader:
    """20,000 entries about 400 persons by 20 accounts; one in fifty is a refusal or a break-glass access."""
    reader = Reader(harness)
    tenant_id = reader.association.tenant_id
    persons, accounts = [new_id() for _ in range(400)], [new_id() for _ in range(20)]
    for _ in range(20):
        batch = reader.writer.batch(1_000, outcome=journal_pb2.JOURNAL_OUTCOME_ALLOWED)
        for entry in batch.entries:
            entry.account_id = accounts[entry.sequence % 20]
            entry.beneficiary_id = persons[entry.sequence % 400]
            entry.break_glass = entry.sequence % 50 == 7
            if entry.sequence % 50 == 9:
                entry.outcome = journal_pb2.JOURNAL_OUTCOME_DENIED
        append_batch(harness.engine, batch)
    facts = [facts_pb2.PersonChanged(beneficiary_id=persons[0], version=1)]
    harness.facts(tenant_id, facts)
    harness.admin("ANALYZE journal_entry, journal_subject")
    reader.persons, reader.accounts = persons, accounts
    return reader


@pytest.mark.parametrize("what", ["newest", "of an account", "refusals", "break-glass access", "of a person"])
def test_a_page_of_a_long_journal_reads_little_more_than_itself(long_journal: Reader, what: str) -> None:
    """As the app role, under row-level security: an index in the order of the list, which stops at the page."""
    filters = {
        "newest": "",
        "of an account": " AND e.account_id = :account",
        "refusals": " AND e.denied",
        "break-glass access": " AND e.break_glass",
    }
    statement = (
        servicer._ACCESSES.format(columns=servicer._COLUMNS, after="")
        if what == "of a person"
        else servicer._ENTRIES.format(columns=servicer._COLUMNS, filters=filters[what])
    )
    tenant_id = long_journal.association.tenant_id
    parameters = {
        "tenant": tenant_id,
        "account": long_journal.accounts[0],
        "ids": [long_journal.persons[0]],
        "limit": 31,
    }
    with tenant_session(long_journal.association.harness.engine, tenant_id) as session:
        plan = session.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"), parameters)

    def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", ()):
            yield from nodes(child)

    of_the_journal = [
        node for node in nodes(plan[0]["Plan"]) if str(node.get("Relation Name", "")).startswith("journal_")
    ]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in of_the_journal) <= 3 * 51
    assert sum(node.get("Rows Removed by Filter", 0) for node in of_the_journal) <= 51
    assert {node["Node Type"] for node in of_the_journal if node["Actual Loops"]} <= {"Index Scan", "Index Only Scan"}
