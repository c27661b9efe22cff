"""Writing, checking and signing a prescription, as a doctor does."""

from __future__ import annotations

import pytest
from dui.medication.v1 import events_pb2, treatment_plans_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui.records.v1 import allergies_pb2, identity_strips_pb2
from dui_kit.testing import CallFailed
from dui_medication.testing import KnownPeople, World, order, today

PARACETAMOL, WARFARIN, MICONAZOLE, IBUPROFEN, AMOXICILLIN = "99000001", "99000021", "99000022", "99000042", "99000039"
RAMIPRIL, MORPHINE = "99000010", "99000005"


def allergy(
    substance: str, kind: int = allergies_pb2.ALLERGY_KIND_MEDICATION, number: int = 1
) -> identity_strips_pb2.StripAllergy:
    return identity_strips_pb2.StripAllergy(
        allergy_id=f"0197a000-0000-7000-8000-{number:012}",
        kind=allergies_pb2.AllergyKind.ValueType(kind),
        substance=substance,
        severity=allergies_pb2.ALLERGY_SEVERITY_SEVERE,
        status=allergies_pb2.ALLERGY_STATUS_CONFIRMED,
        version=1,
    )


def check(ward: World, *orders: pb.LineOrder, **more: object) -> pb.CheckPrescriptionResponse:
    content = pb.Prescription(facility_id=ward.home, orders=orders, **more)  # type: ignore[arg-type]
    request = pb.CheckPrescriptionRequest(beneficiary_id=ward.person, prescription=content)
    answer: pb.CheckPrescriptionResponse = ward.call("PrescriptionService/CheckPrescription", request)
    return answer


def plan(ward: World, **options: object) -> treatment_plans_pb2.TreatmentPlan:
    request = treatment_plans_pb2.GetTreatmentPlanRequest(beneficiary_id=ward.person)
    answer: treatment_plans_pb2.TreatmentPlan = ward.call(
        "TreatmentPlanService/GetTreatmentPlan", request, **options
    ).treatment_plan
    return answer


def test_what_a_doctor_signs_is_the_treatment_that_the_nurse_reads(ward: World) -> None:
    signed = ward.prescribe(order(PARACETAMOL, "08:00", "20:00"), order(RAMIPRIL, ends_on=today(89).isoformat()))
    assert signed.status == pb.PRESCRIPTION_STATUS_SIGNED
    assert signed.prescriber.rpps == "10003000048"
    assert signed.person.birth_name == "Garnier"
    found = plan(ward, as_="nurse")
    assert [line.prescription_line_id for line in found.lines] == list(signed.line_ids)
    assert found.unreviewed == 2
    first = found.lines[0]
    assert first.status == pb.LINE_STATUS_ACTIVE
    assert first.facility_id == ward.home
    assert first.view.label.startswith("PARACÉTAMOL 500 mg")
    assert "8\u00a0h" in first.view.dosage_text
    assert "20\u00a0h" in first.view.dosage_text


def test_a_contraindicated_pair_is_refused_until_it_is_overridden_with_a_reason(ward: World) -> None:
    ward.prescribe(order(WARFARIN, ends_on=today(89).isoformat()))
    gel = order(MICONAZOLE, unit="{applic}", route="buccale", ends_on=today(7).isoformat())
    found = check(ward, gel).report
    [alert] = [each for each in found.alerts if each.kind == pb.ALERT_KIND_INTERACTION]
    assert (alert.blocking, alert.overridden, found.signable) == (True, False, False)
    assert alert.references[0] == "orders[0]" or alert.references[1] == "orders[0]"
    draft = ward.draft(gel)
    with pytest.raises(CallFailed) as refused:
        ward.sign(draft)
    assert refused.value.reason == "ALERT_NOT_OVERRIDDEN"
    assert refused.value.field == "orders[0]"
    why = pb.AlertOverride(
        alert_key=alert.key, reason=pb.OVERRIDE_REASON_MONITORED, text="INR tous les deux jours, avis du cardiologue"
    )
    assert check(ward, gel, overrides=[why]).report.signable
    signed = ward.prescribe(gel, overrides=[why])
    [line] = [each for each in plan(ward, as_="pharmacist").lines if each.prescription_id == signed.prescription_id]
    assert [(each.reason, each.text) for each in line.overrides] == [(why.reason, why.text)]
    [(payload,)] = ward.harness.admin(
        "SELECT payload FROM outbox WHERE tenant_id = %s AND event_type = 'dui.medication.v1.CheckOverridden'",
        (ward.tenant,),
    )
    event = events_pb2.CheckOverridden.FromString(payload)
    assert [(each.kind, each.level, each.reason) for each in event.overridden] == [
        (pb.ALERT_KIND_INTERACTION, 4, pb.OVERRIDE_REASON_MONITORED)
    ]
    assert "cardiologue" not in str(event)


def test_an_allergy_blocks_and_one_that_cannot_be_understood_says_so(ward: World, people: KnownPeople) -> None:
    people.allergies[ward.person] = [allergy("Amoxicilline"), allergy("produit bleu de l'hôpital", number=2)]
    found = check(ward, order(AMOXICILLIN, ends_on=today(6).isoformat())).report
    assert [(each.kind, each.blocking) for each in found.alerts] == [(pb.ALERT_KIND_ALLERGY, True)]
    about = [each for each in found.unavailable if each.kind == pb.ALERT_KIND_ALLERGY]
    assert any(each.text.startswith("Contrôle indisponible") for each in about)


def test_when_the_record_is_away_the_check_of_allergies_is_unavailable_and_nothing_is_signed(
    ward: World, people: KnownPeople
) -> None:
    people.away = True
    found = check(ward, order(PARACETAMOL)).report
    assert not found.record.HasField("read_at")
    assert "ALLERGIES_UNKNOWN" in {each.code for each in found.unavailable}
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(order(PARACETAMOL))
    assert (refused.value.code, refused.value.reason) == ("UNAVAILABLE", "RECORD_AWAY")
    assert not plan(ward).lines


def test_only_who_may_prescribe_does_and_only_with_a_second_factor(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    with pytest.raises(CallFailed) as one_factor:
        ward.sign(draft, acr=1)
    assert one_factor.value.reason == "STEP_UP_REQUIRED"
    for who in ("nurse", "pharmacist", "secretary"):
        with pytest.raises(CallFailed) as refused:
            ward.draft(order(PARACETAMOL), as_=who)
        assert refused.value.reason == "RIGHT_MISSING"
    with pytest.raises(CallFailed) as elsewhere:
        ward.draft(order(PARACETAMOL), as_="stranger")
    assert elsewhere.value.reason == "OUT_OF_PERIMETER"


def test_a_draft_is_its_authors_alone(ward: World) -> None:
    draft = ward.draft(order(PARACETAMOL))
    request = pb.GetPrescriptionRequest(beneficiary_id=ward.person, prescription_id=draft.prescription_id)
    assert ward.call("PrescriptionService/GetPrescription", request).prescription == draft
    for who in ("colleague", "nurse"):
        with pytest.raises(CallFailed) as refused:
            ward.call("PrescriptionService/GetPrescription", request, as_=who)
        assert refused.value.reason == "NOT_FOUND"
        listed = ward.call(
            "PrescriptionService/ListPrescriptions", pb.ListPrescriptionsRequest(beneficiary_id=ward.person), as_=who
        )
        assert not listed.prescriptions


def test_what_is_wrong_is_told_field_by_field(ward: World) -> None:
    wrong = [
        order("98765432"),
        order(PARACETAMOL, quantity="0"),
        order(PARACETAMOL, unit="mL"),
        order(PARACETAMOL, ends_on=today(-1).isoformat()),
        order(PARACETAMOL, route="rectale"),
        order(PARACETAMOL, starts_on=today(-2).isoformat()),
    ]
    with pytest.raises(CallFailed) as refused:
        ward.prescribe(*wrong)
    found = dict(zip(refused.value.fields, refused.value.reasons, strict=True))
    assert found["orders[0].cis"] == "SPECIALTY_UNKNOWN"
    assert "orders[1].dosage.steps[0].doses[0].quantity" in found
    assert found["orders[2].dosage.unit"] == "DOSE_UNIT_UNFIT"
    assert "orders[3].ends_on" in found
    assert found["orders[4].route"] == "ROUTE_UNFIT"
    assert found["orders[5].starts_on"] == "START_IN_THE_PAST"
    assert not plan(ward).lines


def test_a_narcotic_is_limited_to_28_days_and_written_in_words(ward: World) -> None:
    long = order(MORPHINE, "08:00", unit="{caps}", ends_on=today(28).isoformat())
    found = check(ward, long).report
    assert "PRESCRIPTION_DAYS_EXCEEDED" in {each.code for each in found.limits if each.blocking}
    right = order(MORPHINE, "08:00", unit="{caps}", ends_on=today(27).isoformat())
    answer = check(ward, right)
    assert answer.report.signable
    words = answer.views[0].amounts_in_words.replace("\N{NO-BREAK SPACE}", " ")
    assert words.startswith("une gélule à 8 h, soit une prise par jour, jusqu'au ")
    assert words.endswith(" inclus ; dosage : dix milligrammes")
    ward.prescribe(right)
    again = check(ward, right).report
    assert "NARCOTIC_OVERLAPS" in {each.code for each in again.limits if each.blocking}
