"""Versioned rows on a real PostgreSQL: what is written, when, and whom a row is of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from dui.records.v1 import allergies_pb2 as pb
from dui.records.v1 import events_pb2
from dui_kit.calls.call import Call, Caller
from dui_kit.calls.outbox import Outbox
from dui_kit.calls.versioned import Versioned
from dui_kit.db.columns import AnyRow, id_column, instant_column, version_columns
from dui_kit.db.database import commit, connected, make_engine, opening, raw
from dui_kit.db.schema import protect
from dui_kit.db.statements import run
from dui_kit.errors import Refusal
from dui_kit.ids import new_id
from dui_kit.service import Service
from dui_kit.settings import ServiceSettings
from dui_kit.testing import Harness, create_database
from dui_kit.testing_plans import watched
from dui_kit.wire.contract import rule_of
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import CheckConstraint, Column, Computed, Integer, MetaData, Table, Text

allergy = Table(
    "allergy",
    MetaData(),
    id_column("tenant_id", key=True),
    id_column("allergy_id", key=True),
    id_column("beneficiary_id"),
    *version_columns(),
    instant_column("created_at"),
    Column("substance", Text, nullable=False),
    Column("reaction", Text),
    Column("length", Integer, Computed("length(substance)", persisted=True), nullable=False),
    CheckConstraint("substance <> ''", name="allergy_substance_check"),
)
RULE = rule_of(pb.DESCRIPTOR.services_by_name["AllergyService"].methods_by_name["ListAllergyVersions"])


def _read(row: AnyRow) -> pb.Allergy:
    return pb.Allergy(
        allergy_id=row.allergy_id, beneficiary_id=row.beneficiary_id, substance=row.substance, reaction=row.reaction
    )


def _changed(row: AnyRow) -> events_pb2.AllergyChanged:
    return events_pb2.AllergyChanged(allergy_id=row.allergy_id, version=row.version, beneficiary_id=row.beneficiary_id)


ALLERGY = Versioned(allergy, _read, events=(_changed,))


class House:
    """An association, and one of its persons."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.tenant, self.person, self.author = new_id(), new_id(), new_id()

    @contextmanager
    def call(self, *persons: str, if_match: str = "") -> Iterator[Call]:
        """A call about the person, or about the ones named; commits at its end."""
        persons = persons or (self.person,)
        with connected(self.harness.engine) as connection:
            run(raw(connection), *opening(self.tenant, durable=False, statement_ms=10_000))
            call = Call(
                connection=connection,
                caller=Caller("nurse", self.author, self.tenant, 1, (), ""),
                rule=RULE,
                now=datetime.now(UTC),
                beneficiary_id=persons[0],
                beneficiary_ids=persons,
                categories=frozenset(),
                break_glass=False,
                if_match=if_match,
                toolbox=self.harness.toolbox,
                outbox=Outbox("records", self.tenant),
            )
            yield call
            commit(raw(connection), *call.end())

    def add(self, **values: object) -> AnyRow:
        with self.call() as call:
            return ALLERGY.add(call, {"substance": "Latex", **values})

    def kept(self) -> list[tuple[object, ...]]:
        """What the table holds of the association, without times and the author."""
        return self.harness.admin(
            "SELECT allergy_id::text, beneficiary_id::text, version, substance, reaction, length FROM allergy"
            " WHERE tenant_id = %s ORDER BY allergy_id",
            (self.tenant,),
        )

    def announced(self) -> list[events_pb2.AllergyChanged]:
        rows = self.harness.admin("SELECT payload FROM outbox WHERE tenant_id = %s ORDER BY position", (self.tenant,))
        return [events_pb2.AllergyChanged.FromString(payload) for (payload,) in rows]


@pytest.fixture(scope="module")
def harness(postgres: str) -> Iterator[Harness]:
    service = Service("sample", ServiceSettings(sealing_key="22" * 32), servicers=[], migrations="sample_migrations")
    harness = Harness(service, create_database(postgres, "versioned"))
    owner = make_engine(harness.database.owner_url, pool_size=1, name="owner")
    with owner.begin() as connection:
        allergy.metadata.create_all(connection)
        protect(Operations(MigrationContext.configure(connection)), "allergy", app="SELECT, INSERT, UPDATE")
    owner.dispose()
    yield harness
    harness.close()


@pytest.fixture
def house(harness: Harness) -> House:
    return House(harness)


def not_found(field: str) -> AbstractContextManager[object]:
    return pytest.RaisesExc(
        Refusal, check=lambda refusal: (refusal.reason.name, refusal.violations[0].field) == ("NOT_FOUND", field)
    )


def test_what_is_added_is_version_one_of_the_person_of_the_call_and_is_announced(house: House) -> None:
    row = house.add(reaction="Urticaire")
    assert house.kept() == [(row.allergy_id, house.person, 1, "Latex", "Urticaire", 5)]
    assert house.announced() == [
        events_pb2.AllergyChanged(allergy_id=row.allergy_id, version=1, beneficiary_id=house.person)
    ]
    with house.call() as call:
        assert ALLERGY.of_person(call, row.allergy_id) == row


def test_a_change_is_the_next_version_and_leaves_the_rest_as_it_was(house: House) -> None:
    allergy_id = house.add(reaction="Urticaire").allergy_id
    with house.call() as call:
        written = ALLERGY.write(call, ALLERGY.of_person(call, allergy_id, lock=True), {"substance": "Arachide"})
    assert house.kept() == [(allergy_id, house.person, 2, "Arachide", "Urticaire", 8)]
    assert [event.version for event in house.announced()] == [1, 2]
    with house.call() as call:
        assert ALLERGY.of_person(call, allergy_id) == written


def test_the_history_has_every_version_as_it_was_and_by_whom_newest_first(house: House) -> None:
    first = house.add(reaction="Urticaire")
    with house.call() as call:
        second = ALLERGY.write(call, ALLERGY.of_person(call, first.allergy_id, lock=True), {"reaction": None})
    with house.call() as call:
        asked = pb.ListAllergyVersionsRequest(page_size=1)
        [newest], token = ALLERGY.history(call, second, asked)
        asked.page_token = token
        [oldest], end = ALLERGY.history(call, second, asked)
    assert end == ""
    for version, number, reaction, row in ((oldest, 1, "Urticaire", first), (newest, 2, "", second)):
        expected = pb.Allergy(
            allergy_id=first.allergy_id, beneficiary_id=house.person, substance="Latex", reaction=reaction or None
        )
        expected.version.version = number
        expected.version.author_account_id = house.author
        at = Timestamp()
        at.FromDatetime(row.recorded_at)
        expected.version.recorded_at.CopyFrom(at)
        assert version == expected


def test_readers_get_the_etag_that_the_next_change_compares(house: House) -> None:
    row = house.add()
    with house.call() as call:
        told = ALLERGY.to_message(ALLERGY.of_person(call, row.allergy_id))
    with house.call(if_match=f'"{told.etag}"') as call:
        call.check_etag(row.allergy_id, 1)
        written = ALLERGY.write(call, ALLERGY.of_person(call, row.allergy_id, lock=True), {"reaction": "Choc"})
        assert ALLERGY.to_message(written).etag != told.etag
        with pytest.raises(Refusal, match="ETAG_STALE"):
            call.check_etag(row.allergy_id, written.version)


def test_what_is_somebody_elses_is_not_found_and_what_is_of_a_merged_record_is(house: House) -> None:
    row, other = house.add(), House(house.harness)
    with house.call(new_id()) as call, not_found("allergy_id"):
        ALLERGY.of_person(call, row.allergy_id)
    with other.call(house.person) as call, not_found("draft.allergy_id"):
        ALLERGY.of_person(call, row.allergy_id, field="draft.allergy_id")
    with house.call(new_id(), house.person) as call:
        found = ALLERGY.of_person(call, row.allergy_id, lock=True)
        ALLERGY.write(call, found, {"reaction": "Choc"})
    assert house.kept() == [(row.allergy_id, house.person, 2, "Latex", "Choc", 5)]


def test_a_locked_row_is_nobody_elses_until_the_commit(house: House) -> None:
    row = house.add()
    query = "SELECT count(*) FROM (SELECT FROM allergy WHERE allergy_id = %s FOR UPDATE SKIP LOCKED) free"
    with house.call() as call:
        ALLERGY.of_person(call, row.allergy_id)
        assert house.harness.admin(query, (row.allergy_id,)) == [(1,)]
        ALLERGY.of_person(call, row.allergy_id, lock=True)
        assert house.harness.admin(query, (row.allergy_id,)) == [(0,)]
    assert house.harness.admin(query, (row.allergy_id,)) == [(1,)]


def test_twelve_at_once_and_a_change_of_one_of_them_are_one_round_trip(house: House) -> None:
    names = [f"Substance {number}" for number in range(12)]
    with watched(house.harness) as trips, house.call() as call:
        rows = [ALLERGY.add(call, {"substance": name}) for name in names]
        ALLERGY.write(call, rows[3], {"reaction": "Choc"})
        assert house.kept() == []
    assert len(trips) == 2  # the opening, and all with the commit
    assert [(version, substance, reaction) for _, _, version, substance, reaction, _ in house.kept()] == [
        (2 if name == names[3] else 1, name, "Choc" if name == names[3] else None) for name in names
    ]
    assert [(event.allergy_id, event.version) for event in house.announced()] == [
        *((row.allergy_id, 1) for row in rows),
        (rows[3].allergy_id, 2),
    ]


def test_one_that_the_database_refuses_refuses_them_all_at_the_end(house: House) -> None:
    def add(*substances: str) -> None:
        with house.call() as call:
            for substance in substances:
                ALLERGY.add(call, {"substance": substance})

    with pytest.raises(psycopg.errors.CheckViolation):
        add("Latex", "")
    assert house.kept() == []
    assert house.announced() == []


@pytest.mark.parametrize("name", ["length", "substanse"])
def test_what_the_database_computes_and_a_column_that_is_not_there_are_never_written(house: House, name: str) -> None:
    row = house.add()
    with house.call() as call:
        with pytest.raises(ValueError, match=name):
            ALLERGY.add(call, {"substance": "Latex", name: 1})
        with pytest.raises(ValueError, match=name):
            ALLERGY.write(call, ALLERGY.of_person(call, row.allergy_id, lock=True), {name: 1})
    assert house.kept() == [(row.allergy_id, house.person, 1, "Latex", None, 5)]
