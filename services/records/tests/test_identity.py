"""The identity of a person through the service: opening, reading, changing, validating, INSi."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from dui.records.v1 import beneficiaries_pb2 as pb
from dui.records.v1 import events_pb2
from dui_kit.testing import CallFailed, Harness
from dui_kit.times import to_timestamp
from dui_records.app import build
from dui_records.beneficiaries.rules import NationalIdentifier, StrictTraits
from dui_records.insi.rules import InsiAnswer, InsiCode
from dui_records.testing import World, mask

TEST_OID = "1.2.250.1.213.1.4.10"
INS = pb.NationalIdentifier(value="295109912611193", oid=TEST_OID)
WRONG_KEY = pb.NationalIdentifier(value="295109912611194", oid=TEST_OID)
PROVISOIRE, RECUPEREE, VALIDEE, QUALIFIEE = 1, 2, 3, 4


def update(
    world: World, person: pb.Beneficiary, *paths: str, as_: str = "secretary", **values: object
) -> pb.Beneficiary:
    request = pb.UpdateBeneficiaryRequest(
        beneficiary_id=person.beneficiary_id,
        beneficiary=pb.Beneficiary(**values),  # type: ignore[arg-type]
        update_mask=mask(*(paths or tuple(values))),
    )
    return world.call("BeneficiaryService/UpdateBeneficiary", request, as_=as_, if_match=person.etag).beneficiary  # type: ignore[no-any-return]


def validate(world: World, person: pb.Beneficiary, document: int = pb.IDENTITY_DOCUMENT_PASSPORT) -> pb.Beneficiary:
    request = pb.ValidateIdentityRequest(
        beneficiary_id=person.beneficiary_id,
        document=document,  # type: ignore[arg-type]
        checked_at=to_timestamp(datetime.now(UTC)),
    )
    options = {"as_": "secretary", "if_match": person.etag}
    return world.call("BeneficiaryService/ValidateIdentity", request, **options).beneficiary  # type: ignore[no-any-return]


def test_a_secretary_opens_a_record_and_reads_it(world: World) -> None:
    person = world.open(birth_name="  Le   Goff ", birth_given_names=["Anne-Marie", "Jeanne"], national_identifier=INS)
    got = world.read(person.beneficiary_id, as_="secretary")
    assert got == person
    assert (got.birth_name, list(got.birth_given_names)) == ("Le Goff", ["Anne-Marie", "Jeanne"])
    assert (got.identity_status, got.homonym, got.version.version) == (PROVISOIRE, False, 1)
    assert got.version.author_account_id == world.accounts["secretary"]
    assert got.national_identifier == INS


def test_opening_a_record_opens_the_admission_to_the_facility_for_30_days(world: World) -> None:
    person = world.open()
    admission_only, valid_from, valid_to, _, _ = world.perimeter(person.beneficiary_id)
    assert admission_only is True
    assert valid_to - valid_from == timedelta(days=30, minutes=1)
    with pytest.raises(CallFailed) as refusal:
        world.read(person.beneficiary_id, as_="elsewhere")
    assert refusal.value.reason == "OUT_OF_PERIMETER"


def test_the_event_of_an_identity_holds_no_trait(world: World) -> None:
    person = world.open(birth_name="Kerguelen")
    [(version, payload)] = world.events(person.beneficiary_id, "BeneficiaryChanged")
    assert version == 1
    assert events_pb2.BeneficiaryChanged.FromString(payload).identity_status == PROVISOIRE
    assert b"erguelen" not in payload.lower()


def test_nobody_sets_the_status(world: World) -> None:
    with pytest.raises(CallFailed) as refusal:
        world.open(identity_status=QUALIFIEE)
    assert (refusal.value.reason, refusal.value.field) == ("FIELD_READ_ONLY", "beneficiary.identity_status")
    person = world.open()
    with pytest.raises(CallFailed) as refusal:
        update(world, person, "identity_status", birth_name="x")
    assert refusal.value.reason == "FIELD_READ_ONLY"


@pytest.mark.parametrize(
    ("traits", "field"),
    [
        ({"birth_date": "2150-01-01"}, "beneficiary.birth_date"),
        ({"birth_date": "1950-02-30"}, "beneficiary.birth_date"),
        ({"birth_name": "X Æ A-12"}, "beneficiary.birth_name"),
        ({"national_identifier": WRONG_KEY}, "beneficiary.national_identifier.value"),
        (
            {"national_identifier": pb.NationalIdentifier(value=INS.value, oid="1.2.3")},
            "beneficiary.national_identifier.oid",
        ),
        ({"died_on": "1949-01-01"}, "beneficiary.died_on"),
    ],
)
def test_bad_traits_are_refused_by_name(world: World, traits: dict[str, object], field: str) -> None:
    with pytest.raises(CallFailed) as refusal:
        world.open(**traits)
    assert (refusal.value.code, refusal.value.field) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize("birth_date", ["1950", "1950-03", "1950-03-14"])
def test_a_partial_birth_date_is_kept_as_it_is_known(world: World, birth_date: str) -> None:
    assert world.open(birth_date=birth_date).birth_date == birth_date


def test_a_correction_of_a_strict_trait_is_a_new_version_with_its_reason(world: World) -> None:
    person = validate(world, world.open())
    assert person.identity_status == VALIDEE
    with pytest.raises(CallFailed) as refusal:
        update(world, person, birth_name="Durant")
    assert (refusal.value.reason, refusal.value.field) == ("CORRECTION_REASON_REQUIRED", "beneficiary.reason")
    corrected = update(world, person, birth_name="Durant", reason="Acte de naissance")
    assert (corrected.identity_status, corrected.version.version) == (PROVISOIRE, 3)
    renamed = update(world, corrected, used_name="Martin")
    assert (renamed.identity_status, renamed.reason, renamed.HasField("reason")) == (PROVISOIRE, "", False)
    request = pb.ListBeneficiaryVersionsRequest(beneficiary_id=person.beneficiary_id, page_size=3)
    page = world.call("BeneficiaryService/ListBeneficiaryVersions", request, as_="secretary")
    assert [(v.version.version, v.birth_name, v.reason) for v in page.versions] == [
        (4, "Durant", ""),
        (3, "Durant", "Acte de naissance"),
        (2, "Durand", ""),
    ]
    request.page_token = page.next_page_token
    last = world.call("BeneficiaryService/ListBeneficiaryVersions", request, as_="secretary")
    assert [v.version.version for v in last.versions] == [1]
    assert last.next_page_token == ""


def test_a_change_needs_the_version_that_was_read(world: World) -> None:
    person = world.open()
    update(world, person, used_name="Martin")
    with pytest.raises(CallFailed) as refusal:
        update(world, person, used_name="Bernard")
    assert refusal.value.reason == "ETAG_STALE"
    person.etag = ""
    with pytest.raises(CallFailed) as refusal:
        update(world, person, used_name="Bernard")
    assert refusal.value.reason == "PRECONDITION_REQUIRED"
    assert world.read(person.beneficiary_id).used_name == "Martin"


def test_a_patch_clears_what_it_names_and_does_not_give(world: World) -> None:
    person = world.open(used_name="Martin", national_identifier=INS)
    cleared = update(world, person, "used_name")
    assert not cleared.HasField("used_name")
    identifier = pb.NationalIdentifier(value=INS.value, oid="1.2.250.1.213.1.4.11")
    changed = update(world, cleared, national_identifier=identifier, reason="mauvais domaine")
    assert changed.national_identifier == identifier
    gone = update(world, changed, "national_identifier", "reason", reason="numéro d'une autre personne")
    assert not gone.HasField("national_identifier")


def test_a_part_of_the_identifier_can_be_corrected_alone(world: World) -> None:
    person = world.open(national_identifier=INS)
    other = pb.NationalIdentifier(oid="1.2.250.1.213.1.4.11")
    paths = ("national_identifier.oid", "reason")
    changed = update(world, person, *paths, national_identifier=other, reason="mauvais domaine")
    assert (changed.national_identifier.value, changed.national_identifier.oid) == (INS.value, other.oid)
    with pytest.raises(CallFailed) as refusal:
        update(world, world.open(), "national_identifier.oid", national_identifier=other)
    assert (refusal.value.reason, refusal.value.field) == ("FIELD_REQUIRED", "beneficiary.national_identifier.value")


def test_doubt_forbids_validation_until_it_is_lifted(world: World) -> None:
    person = update(world, validate(world, world.open()), doubtful=True)
    assert person.identity_status == PROVISOIRE
    with pytest.raises(CallFailed) as refusal:
        validate(world, person)
    assert refusal.value.reason == "IDENTITY_DOUBTFUL"
    lifted = update(world, person, "doubtful")
    assert validate(world, lifted).identity_status == VALIDEE


def test_a_birth_certificate_is_for_minors(world: World) -> None:
    with pytest.raises(CallFailed) as refusal:
        validate(world, world.open(), pb.IDENTITY_DOCUMENT_BIRTH_CERTIFICATE)
    assert (refusal.value.reason, refusal.value.field) == ("DOCUMENT_NOT_ENOUGH", "document")
    child = world.open(birth_date=f"{world.today.year - 5}-01-01")
    assert validate(world, child, pb.IDENTITY_DOCUMENT_BIRTH_CERTIFICATE).identity_status == VALIDEE
    rows = world.harness.admin(
        "SELECT document, identity_version, author_account_id::text FROM identity_check WHERE beneficiary_id = %s",
        (child.beneficiary_id,),
    )
    assert rows == [(4, 2, world.accounts["secretary"])]


# ----------------------------------------------------------------------------------------------------------------- INSi


class FakeInsi:
    """Stands for the national service, which the platform is not connected to."""

    answer: InsiAnswer

    def retrieve(self, traits: StrictTraits) -> InsiAnswer:
        if self.answer.code is InsiCode.ONE and self.answer.traits is None:
            return InsiAnswer(InsiCode.ONE, "ref", traits, NationalIdentifier(INS.value, INS.oid))
        return self.answer


@pytest.fixture
def insi(harness: Harness) -> Iterator[tuple[FakeInsi, Harness]]:
    """The same database behind a service that is connected to INSi."""
    fake = FakeInsi()
    connected = Harness(build(fake), harness.database)
    yield fake, connected
    connected.close()


def retrieve(world: World, person: pb.Beneficiary, harness: Harness | None = None) -> pb.Beneficiary:
    request = pb.RetrieveInsRequest(beneficiary_id=person.beneficiary_id)
    return (
        (harness or world.harness)
        .call(  # type: ignore[no-any-return]
            "dui.records.v1.BeneficiaryService/RetrieveIns", request, as_="secretary", tenant=world.tenant
        )
        .beneficiary
    )


def test_insi_is_not_connected_and_says_so(world: World) -> None:
    person = world.open()
    with pytest.raises(CallFailed) as refusal:
        retrieve(world, person)
    assert (refusal.value.code, refusal.value.reason) == ("FAILED_PRECONDITION", "INSI_NOT_CONNECTED")
    assert "document" in refusal.value.message
    assert world.read(person.beneficiary_id) == person


def test_an_answer_of_insi_and_a_document_qualify_an_identity(world: World, insi: tuple[FakeInsi, Harness]) -> None:
    fake, connected = insi
    fake.answer = InsiAnswer(InsiCode.ONE, "ref")
    person = retrieve(world, world.open(), connected)
    assert (person.identity_status, person.national_identifier) == (RECUPEREE, INS)
    qualified = validate(world, person)
    assert qualified.identity_status == QUALIFIEE
    [(code, identity)] = world.harness.admin(
        "SELECT i.code, i.identity FROM beneficiary b JOIN insi_answer i USING (tenant_id, insi_answer_id)"
        " WHERE b.beneficiary_id = %s",
        (person.beneficiary_id,),
    )
    assert (code, identity["identifier"]["value"], identity["traits"]["birth_name"]) == ("00", INS.value, "Durand")
    corrected = update(world, qualified, birth_given_names=["Camille", "Rose"], reason="Second prénom")
    assert corrected.identity_status == PROVISOIRE


@pytest.mark.parametrize("code", [InsiCode.NONE, InsiCode.SEVERAL])
def test_an_answer_that_finds_nobody_is_kept_and_changes_nothing(
    world: World, insi: tuple[FakeInsi, Harness], code: InsiCode
) -> None:
    fake, connected = insi
    fake.answer = InsiAnswer(code, "ref 2")
    person = validate(world, world.open())
    assert retrieve(world, person, connected) == person
    rows = world.harness.admin(
        "SELECT code, reference, identity FROM insi_answer WHERE beneficiary_id = %s", (person.beneficiary_id,)
    )
    assert rows == [(code.value, "ref 2", None)]


@pytest.mark.parametrize("status", [RECUPEREE, QUALIFIEE])
def test_the_database_refuses_a_retrieved_identity_without_the_answer(world: World, status: int) -> None:
    person = world.open()
    with pytest.raises(psycopg.errors.CheckViolation, match="beneficiary_evidence_check"):
        world.harness.admin(
            "UPDATE beneficiary SET identity_status = %s WHERE beneficiary_id = %s", (status, person.beneficiary_id)
        )


def test_the_database_refuses_the_answer_about_somebody_else_or_that_found_nobody(
    world: World, insi: tuple[FakeInsi, Harness]
) -> None:
    fake, connected = insi
    person, other = world.open(), world.open(birth_name="Moreau")
    for code, owner in ((InsiCode.NONE, person), (InsiCode.ONE, other)):
        fake.answer = InsiAnswer(code, "ref")
        retrieve(world, owner, connected)
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="beneficiary_insi_answer_id_fkey"):
            world.harness.admin(
                "UPDATE beneficiary SET identity_status = 2, insi_answer_id ="
                " (SELECT insi_answer_id FROM insi_answer WHERE beneficiary_id = %s LIMIT 1) WHERE beneficiary_id = %s",
                (owner.beneficiary_id, person.beneficiary_id),
            )


def test_the_database_refuses_to_trust_a_doubtful_identity(world: World) -> None:
    person = validate(world, world.open())
    with pytest.raises(psycopg.errors.CheckViolation, match="beneficiary_trust_check"):
        world.harness.admin(
            "UPDATE beneficiary SET doubtful = true WHERE beneficiary_id = %s", (person.beneficiary_id,)
        )


# ------------------------------------------------------------------------------------------------------------ isolation


def test_another_association_finds_nothing(world: World, elsewhere: World) -> None:
    person = world.open()
    for operation, request in (
        ("BeneficiaryService/GetBeneficiary", pb.GetBeneficiaryRequest(beneficiary_id=person.beneficiary_id)),
        (
            "BeneficiaryService/ListDuplicateCandidates",
            pb.ListDuplicateCandidatesRequest(beneficiary_id=person.beneficiary_id),
        ),
    ):
        with pytest.raises(CallFailed) as refusal:
            elsewhere.call(operation, request)
        assert refusal.value.code == "NOT_FOUND"
        assert world.call(operation, request) is not None


def test_an_unknown_person_is_not_found(world: World) -> None:
    with pytest.raises(CallFailed) as refusal:
        world.read("01900000-0000-7000-8000-000000000000")
    assert refusal.value.code == "NOT_FOUND"
