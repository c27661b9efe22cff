"""What medication shows is the same for every association, and no association can change it: every RPC, every table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from dui.medication.v1 import catalogue_pb2 as catalogue
from dui.medication.v1 import interactions_pb2 as interactions
from dui_kit.testing import Harness, create_database, postgres_server
from google.protobuf.message import Message
from isolation import defects, reach_in, rows_of

os.environ.setdefault("DUI_SEALING_KEY", "11" * 32)

from dui_medication.app import build
from dui_medication.testing import World, load

SERVICE = "dui.medication.v1."
REFERENCE = ("catalogue_edition", "specialty", "specialty_word", "presentation")


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with postgres_server() as url:
        found = Harness(build(), create_database(url, "medication"))
        load(found)
        yield found
        found.close()


def home(harness: Harness) -> World:
    return World(harness, now=datetime.now(UTC) - timedelta(minutes=5))


#: Reference data: both associations read the same, and a page of one is no page of the other.
CASES: dict[str, Message] = {
    "CatalogueService/SearchSpecialties": catalogue.SearchSpecialtiesRequest(text="fictif", page_size=5),
    "CatalogueService/GetSpecialty": catalogue.GetSpecialtyRequest(cis="99000001"),
    "CatalogueService/GetPresentation": catalogue.GetPresentationRequest(cip13="3400990000108"),
    "CatalogueService/ListCatalogueEditions": catalogue.ListCatalogueEditionsRequest(),
    "InteractionService/CheckInteractions": interactions.CheckInteractionsRequest(
        lines=[
            interactions.CheckedLine(reference="a", cis="99000001", origin=interactions.LINE_ORIGIN_EXISTING),
            interactions.CheckedLine(reference="b", cis="99000002", origin=interactions.LINE_ORIGIN_NEW),
        ]
    ),
    "InteractionService/GetInteractionKnowledge": interactions.GetInteractionKnowledgeRequest(),
    "CatalogueService/ListCatalogueChanges": catalogue.ListCatalogueChangesRequest(edition=1, page_size=5),
}


def test_every_rpc_has_a_case() -> None:
    assert {name.removeprefix(SERVICE) for name in build().methods()} == set(CASES)


def _without_token(reply: Message) -> Message:
    if "next_page_token" in reply.DESCRIPTOR.fields_by_name:
        reply.ClearField("next_page_token")
    return reply


@pytest.mark.parametrize("operation", CASES)
def test_both_associations_read_the_same_and_change_nothing(harness: Harness, operation: str) -> None:
    one, other = home(harness), home(harness)
    before = rows_of(harness, other.tenant)
    replies = [_without_token(each.call(operation, CASES[operation])) for each in (one, other)]
    assert replies[0] == replies[1]
    assert replies[0].ByteSize() > 0
    assert rows_of(harness, other.tenant) == before


def test_a_page_of_one_association_is_no_page_of_another(harness: Harness) -> None:
    one, other = home(harness), home(harness)
    request = catalogue.SearchSpecialtiesRequest(text="fictif", page_size=5)
    request.page_token = one.call("CatalogueService/SearchSpecialties", request).next_page_token
    assert one.call("CatalogueService/SearchSpecialties", request).matches
    with pytest.raises(Exception, match="PAGE_TOKEN_INVALID"):
        other.call("CatalogueService/SearchSpecialties", request)


def test_every_table_is_closed_to_another_association(harness: Harness) -> None:
    one, other = home(harness), home(harness)
    filled = {table for table, (count, _) in rows_of(harness, one.tenant).items() if count}
    assert "access_account" in filled
    assert [what for table in filled for what in reach_in(harness, table, of=one.tenant, as_tenant=other.tenant)] == []


@pytest.mark.parametrize("table", REFERENCE)
def test_the_service_cannot_write_what_every_association_reads(harness: Harness, table: str) -> None:
    with psycopg.connect(harness.database.app_url) as connection:
        [(there,)] = connection.execute(f"SELECT count(*) FROM reference.{table}").fetchall()  # noqa: S608
        assert there > 0
        for statement in (f"DELETE FROM reference.{table}", f"INSERT INTO reference.{table} DEFAULT VALUES"):  # noqa: S608
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.parametrize(
    ("sabotage", "reported"),
    [
        ("GRANT UPDATE ON reference.specialty TO {app}", "reference.specialty: somebody may write"),
        ("GRANT SELECT ON reference.specialty TO PUBLIC", "reference.specialty: somebody may write"),
        ("ALTER TABLE reference.presentation ADD COLUMN tenant_id uuid", "reference.presentation: reference data"),
    ],
)
def test_the_database_is_closed_and_opening_one_table_shows(sabotage: str, reported: str) -> None:
    with postgres_server() as url:
        throwaway = Harness(build(), create_database(url, "medication"))
        assert defects(throwaway) == []
        app = throwaway.database.app_url.split("//")[1].split(":")[0]
        throwaway.admin(sabotage.format(app=app))
        found = defects(throwaway)
        throwaway.close()
    assert any(defect.startswith(reported) for defect in found), found
