"""Who signs a prescription: what medication is told, and when it is told nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dui.identity.v1 import directory_pb2 as pb
from dui.identity.v1 import organisation_pb2, professions_pb2, staff_pb2
from dui.options.v1 import options_pb2
from dui_identity.testing import Association, open_association
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from dui_kit.times import to_timestamp
from dui_kit.wire.contract import descriptor_of
from google.protobuf.field_mask_pb2 import FieldMask

P = professions_pb2.Profession
OPERATION = "dui.identity.v1.DirectoryService/GetPrescriber"
RPPS = "10003000048"  # of the documentation of the ANS


class Surgery:
    """A facility with a unit, and a doctor who is assigned nowhere yet."""

    def __init__(self, association: Association, finess: str = "010000024") -> None:
        self.association = association
        self.facility_id, self.unit_id = association.place(finess)
        person = staff_pb2.Professional(
            family_name="Lefèvre",
            given_name="Anaïs",
            profession=P.PROFESSION_DOCTOR,
            rpps=RPPS,
            qualification="gériatre",
        )
        request = staff_pb2.CreateProfessionalRequest(professional=person)
        self.professional = association.call("ProfessionalService/CreateProfessional", request).professional
        account = staff_pb2.Account(professional_id=self.professional.professional_id, login=f"medecin-{new_id()}")
        made = association.call("AccountService/CreateAccount", staff_pb2.CreateAccountRequest(account=account))
        self.account_id = made.account.account_id
        association.set_up(self.account_id, f"subject-{new_id()}")

    def assign(self, profession: int = P.PROFESSION_DOCTOR, **place: Any) -> staff_pb2.Assignment:
        assignment = staff_pb2.Assignment(profession=profession, **place)  # type: ignore[arg-type]
        request = staff_pb2.CreateAssignmentRequest(account_id=self.account_id, assignment=assignment)
        return self.association.call("AssignmentService/CreateAssignment", request).assignment  # type: ignore[no-any-return]

    def end(self, assignment: staff_pb2.Assignment) -> None:
        request = staff_pb2.EndAssignmentRequest(account_id=self.account_id, assignment_id=assignment.assignment_id)
        self.association.call("AssignmentService/EndAssignment", request)

    def ask(self, **changes: str) -> pb.Prescriber:
        return ask(self.association, **{"account_id": self.account_id, "facility_id": self.facility_id, **changes})


def ask(association: Association, *, service: str = "medication", **ids: str) -> pb.Prescriber:
    request = pb.GetPrescriberRequest(**{"tenant_id": association.tenant_id, **ids})
    return association.harness.call(OPERATION, request, service=service).prescriber  # type: ignore[no-any-return]


@pytest.fixture
def surgery(association: Association) -> Surgery:
    return Surgery(association)


def not_found() -> pytest.RaisesExc[CallFailed]:
    return pytest.RaisesExc(
        CallFailed, check=lambda failure: (failure.reason, failure.field) == ("NOT_FOUND", "account_id")
    )


def test_a_doctor_of_a_facility_is_told_with_what_a_prescription_says_of_both(surgery: Surgery) -> None:
    surgery.assign(facility_id=surgery.facility_id)
    assert surgery.ask() == pb.Prescriber(
        account_id=surgery.account_id,
        facility_id=surgery.facility_id,
        family_name="Lefèvre",
        given_name="Anaïs",
        professions=[P.PROFESSION_DOCTOR],
        qualification="gériatre",
        rpps=RPPS,
        facility_name="Les Tilleuls",
        finess_et="010000024",
    )


@pytest.mark.parametrize("place", ["association", "facility", "unit"])
def test_who_is_assigned_to_the_whole_association_or_to_one_unit_works_at_the_facility_too(
    surgery: Surgery, place: str
) -> None:
    everywhere: dict[str, Any] = {}
    facility = {"facility_id": surgery.facility_id}
    surgery.assign(
        **{"association": everywhere, "facility": facility, "unit": {**facility, "unit_id": surgery.unit_id}}[place]
    )
    assert list(surgery.ask().professions) == [P.PROFESSION_DOCTOR]


def test_what_is_not_recorded_is_unset(association: Association) -> None:
    facility_id, _ = association.place()
    account_id, _ = association.person(P.PROFESSION_DOCTOR, facility_id=facility_id)
    found = ask(association, account_id=account_id, facility_id=facility_id)
    assert not any(found.HasField(name) for name in ("rpps", "qualification", "town"))  # type: ignore[arg-type]


def test_the_town_is_told_when_it_is_known(surgery: Surgery) -> None:
    call, ids = surgery.association.call, {"facility_id": surgery.facility_id}
    etag = call("FacilityService/GetFacility", organisation_pb2.GetFacilityRequest(**ids)).facility.etag
    change = organisation_pb2.UpdateFacilityRequest(
        **ids, facility=organisation_pb2.Facility(town="Bourg-en-Bresse"), update_mask=FieldMask(paths=["town"])
    )
    call("FacilityService/UpdateFacility", change, if_match=etag)
    surgery.assign()
    assert surgery.ask().town == "Bourg-en-Bresse"


def test_several_professions_are_each_told_once_those_of_the_facility_first(surgery: Surgery) -> None:
    """The one that prescribes is not always the first: a director who is a doctor too, a doctor in two units."""
    here = {"facility_id": surgery.facility_id}
    surgery.assign(P.PROFESSION_DIRECTION)
    surgery.assign(P.PROFESSION_DOCTOR)
    surgery.assign(P.PROFESSION_COORDINATING_DOCTOR, **here)
    surgery.assign(P.PROFESSION_DOCTOR, **here, unit_id=surgery.unit_id)
    assert list(surgery.ask().professions) == [
        P.PROFESSION_COORDINATING_DOCTOR,
        P.PROFESSION_DOCTOR,
        P.PROFESSION_DIRECTION,
    ]


def test_who_works_elsewhere_only_or_nowhere_signs_nothing_here(surgery: Surgery) -> None:
    with not_found():
        surgery.ask()
    other, _ = surgery.association.place("010780054")
    surgery.assign(facility_id=other)
    with not_found():
        surgery.ask()
    assert surgery.ask(facility_id=other).finess_et == "010780054"


def test_an_assignment_to_come_or_over_signs_nothing(surgery: Surgery) -> None:
    tomorrow = to_timestamp(datetime.now(UTC) + timedelta(days=1))
    surgery.assign(facility_id=surgery.facility_id, valid_from=tomorrow)
    with not_found():
        surgery.ask()
    made = surgery.assign(P.PROFESSION_COORDINATING_DOCTOR, facility_id=surgery.facility_id)
    assert surgery.ask()
    surgery.end(made)
    with not_found():
        surgery.ask()


def test_a_suspended_or_ended_account_signs_nothing(surgery: Surgery) -> None:
    surgery.assign(facility_id=surgery.facility_id)
    call, ids = surgery.association.call, {"account_id": surgery.account_id, "reason": "essai"}
    call("AccountService/SuspendAccount", staff_pb2.SuspendAccountRequest(**ids))
    with not_found():
        surgery.ask()
    call("AccountService/ReactivateAccount", staff_pb2.ReactivateAccountRequest(**ids))
    assert surgery.ask()
    call("AccountService/EndAccount", staff_pb2.EndAccountRequest(**ids))
    with not_found():
        surgery.ask()


def test_an_unknown_facility_or_account_and_those_of_another_association_are_not_found(
    harness: Harness, surgery: Surgery
) -> None:
    surgery.assign()
    other = Surgery(open_association(harness))
    other.assign()
    for changes in ({"account_id": new_id()}, {"facility_id": new_id()}):
        with not_found():
            surgery.ask(**changes)
    for changes in (
        {"account_id": other.account_id},
        {"facility_id": other.facility_id},
        {"account_id": other.account_id, "facility_id": other.facility_id},
        {"tenant_id": other.association.tenant_id},
    ):
        with not_found():
            surgery.ask(**changes)


@pytest.mark.parametrize("service", ["records", "identity", "gateway"])
def test_no_other_service_is_told(surgery: Surgery, service: str) -> None:
    surgery.assign()
    with pytest.raises(CallFailed, match="SERVICE_ONLY"):
        ask(surgery.association, account_id=surgery.account_id, facility_id=surgery.facility_id, service=service)


def test_no_person_is_told(surgery: Surgery) -> None:
    request = pb.GetPrescriberRequest(
        tenant_id=surgery.association.tenant_id, account_id=surgery.account_id, facility_id=surgery.facility_id
    )
    with pytest.raises(CallFailed, match="SERVICE_ONLY"):
        surgery.association.call("DirectoryService/GetPrescriber", request)


def test_what_is_personal_of_a_prescriber_is_marked() -> None:
    fields = descriptor_of(pb.Prescriber()).fields
    marked = {field.name for field in fields if field.GetOptions().Extensions[options_pb2.sensitive]}
    assert marked == {"family_name", "given_name", "qualification", "rpps"}
