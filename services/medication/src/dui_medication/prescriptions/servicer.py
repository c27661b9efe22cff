"""The RPCs of PrescriptionService."""

from __future__ import annotations

from collections.abc import Sequence

from dui.identity.v1 import directory_pb2
from dui.medication.v1 import events_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui.records.v1 import beneficiaries_pb2
from dui_kit.calls.call import Call
from dui_kit.calls.places import facility_of
from dui_kit.calls.visibility import Place, may_decide_at
from dui_kit.db.columns import AnyRow
from dui_kit.errors import Refusal
from dui_kit.times import from_timestamp, to_timestamp
from google.api import httpbody_pb2

from dui_medication.people.remote import People, Strip
from dui_medication.people.rules import PRESCRIBER_UNKNOWN, RECORD_AWAY, full_name
from dui_medication.prescriptions import acts, lines, queries
from dui_medication.prescriptions.checking import Checker, Examined
from dui_medication.prescriptions.rules import (
    ALREADY_SIGNED,
    DRAFT_OF_ANOTHER_RECORD,
    NOT_SIGNED,
    ORDERS_MISSING,
    PRESCRIBER_WITHOUT_RPPS,
    Act,
    check_in_force,
    check_reason,
    check_resume,
    check_size,
    check_suspend,
)
from dui_medication.prescriptions.signing import Signatures
from dui_medication.printing.document import prescription_pdf
from dui_medication.treatment_plans.queries import confirm, plan_of

#: Of the record; the letters of the INSi (RNIV) in what is signed.
_SEX = {beneficiaries_pb2.SEX_FEMALE: "F", beneficiaries_pb2.SEX_MALE: "M", beneficiaries_pb2.SEX_INDETERMINATE: "I"}


class PrescriptionServicer:
    """Prescriptions: drafts, signatures, and what is ordered about their lines."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["PrescriptionService"]

    def __init__(self, checker: Checker, people: People, signatures: Signatures) -> None:
        """`people`: the way to the record and to the directory of professionals."""
        self._checker = checker
        self._people = people
        self._signatures = signatures

    # ---------------------------------------------------------------------------------------------------------- drafts

    def CheckPrescription(self, request: pb.CheckPrescriptionRequest, call: Call) -> pb.CheckPrescriptionResponse:
        """What is wrong with a prescription, and what could not be checked."""
        examined = self._checker.examine(call, request.prescription, plan_of(call), self._people.strip(call))
        return pb.CheckPrescriptionResponse(report=examined.report, views=examined.views)

    def CreatePrescription(self, request: pb.CreatePrescriptionRequest, call: Call) -> pb.CreatePrescriptionResponse:
        """Keeps a draft."""
        _check_draft(call, request.prescription)
        return pb.CreatePrescriptionResponse(prescription=queries.keep(call, request.prescription))

    def GetPrescription(self, request: pb.GetPrescriptionRequest, call: Call) -> pb.GetPrescriptionResponse:
        """A signed prescription, or the caller's own draft."""
        return pb.GetPrescriptionResponse(prescription=queries.shown(queries.one(call, request.prescription_id)))

    def ListPrescriptions(self, request: pb.ListPrescriptionsRequest, call: Call) -> pb.ListPrescriptionsResponse:
        """The signed prescriptions, and the caller's own drafts, newest first."""
        rows, token = queries.page(call, request)
        found = [queries.shown(row) for row in rows]
        for each in found:
            each.ClearField("report")
        return pb.ListPrescriptionsResponse(prescriptions=found, next_page_token=token)

    def UpdatePrescription(self, request: pb.UpdatePrescriptionRequest, call: Call) -> pb.UpdatePrescriptionResponse:
        """Changes a draft."""
        row = _draft(call, request.prescription_id)
        call.check_etag(row.prescription_id, row.version)
        current = pb.Prescription.FromString(row.content)
        changed = call.apply_mask(current, request.prescription, request.update_mask, prefix="prescription")
        _check_draft(call, changed)
        return pb.UpdatePrescriptionResponse(prescription=queries.change(call, row, changed))

    def DeletePrescription(self, request: pb.DeletePrescriptionRequest, call: Call) -> pb.DeletePrescriptionResponse:
        """Deletes a draft."""
        queries.forget(call, _draft(call, request.prescription_id))
        return pb.DeletePrescriptionResponse()

    # --------------------------------------------------------------------------------------------------------- signing

    def SignPrescription(self, request: pb.SignPrescriptionRequest, call: Call) -> pb.SignPrescriptionResponse:
        """The orders of a draft become lines of the treatment. Nobody else signs for the person meanwhile: what is checked is what
        the treatment will be."""
        # Others are asked before anything is locked: while they do not answer, nobody waits behind this call.
        row = _draft(call, request.prescription_id, lock=False)
        facility_id = pb.Prescription.FromString(row.content).facility_id
        prescriber = self._people.professional(call, facility_id, field="facility_id")
        if not prescriber.rpps:
            raise Refusal(PRESCRIBER_WITHOUT_RPPS)
        strip = self._people.strip(call)
        queries.lock_person(call)
        row = _draft(call, request.prescription_id)
        call.check_etag(row.prescription_id, row.version)
        draft = pb.Prescription.FromString(row.content)
        if draft.beneficiary_id != call.beneficiary_id:
            raise Refusal(DRAFT_OF_ANOTHER_RECORD, field="prescription_id")
        if not draft.orders:
            raise Refusal(ORDERS_MISSING, field="orders")
        plan = plan_of(call)
        for order in draft.orders:  # what is signed says how each is meant
            order.naming = order.naming or pb.NAMING_INN
        examined = self._checker.examine(call, draft, plan, strip)
        examined.refuse_faults()
        if strip is None:  # its absence is one of the faults
            raise Refusal(RECORD_AWAY)
        signed = self._signed(call, draft, examined, prescriber, strip)
        made = _lines(call, signed, examined)
        answer = queries.sign(call, row, signed)
        for line in made:
            lines.add(call, line)
        for number, line in enumerate(made):
            if line.order.replaces_line_id:
                field = f"orders[{number}].replaces_line_id"
                replaced = lines.of_person(call, line.order.replaces_line_id, lock=True, field=field)
                # It was when the plan was read; meanwhile somebody may have stopped it, and what they signed stands.
                check_in_force(replaced.status, field)
                lines.replace(call, replaced, line.prescription_line_id)
        acts.keep(
            call,
            self._signatures,
            Act.PRESCRIPTION,
            {"prescription": acts.signed_prescription(signed), "lines": [acts.signed_line(line) for line in made]},
            prescription_id=signed.prescription_id,
        )
        self._people.keep(call, strip)
        if len(call.beneficiary_ids) > 1:  # who signs for merged records has looked at what they hold together
            confirm(call, [line.row.prescription_line_id for line in plan.lines] + list(signed.line_ids))
        _announce(call, answer, examined)
        return pb.SignPrescriptionResponse(prescription=answer)

    def _signed(
        self,
        call: Call,
        draft: pb.Prescription,
        examined: Examined,
        prescriber: directory_pb2.Prescriber,
        strip: Strip,
    ) -> pb.Prescription:
        """The prescription as it is signed."""
        signed = pb.Prescription()
        signed.CopyFrom(draft)
        signed.status = pb.PRESCRIPTION_STATUS_SIGNED
        signed.line_ids.extend(call.new_id() for _ in draft.orders)
        signed.signed_at.CopyFrom(to_timestamp(call.now))
        signed.signing_key_id = self._signatures.key_id
        signed.report.CopyFrom(examined.report)
        signed.views.extend(examined.views)
        used = {alert.key for alert in examined.report.alerts if alert.overridden}
        del signed.overrides[:]
        signed.overrides.extend(each for each in draft.overrides if each.alert_key in used)
        signed.prescriber.CopyFrom(
            pb.Prescriber(
                account_id=prescriber.account_id,
                family_name=prescriber.family_name,
                given_name=prescriber.given_name,
                qualification=prescriber.qualification or None,
                rpps=prescriber.rpps,
                facility_name=prescriber.facility_name,
                finess_et=prescriber.finess_et,
                town=prescriber.town or None,
            )
        )
        known = strip.content
        signed.person.CopyFrom(
            pb.PrescribedPerson(
                birth_name=known.birth_name,
                used_name=known.used_name or None,
                given_names=" ".join(known.birth_given_names),
                birth_date=known.birth_date,
                sex=_SEX.get(known.sex),
                ins=known.national_identifier.value or None,
                ins_oid=known.national_identifier.oid or None,
            )
        )
        return signed

    def VerifyPrescription(self, request: pb.VerifyPrescriptionRequest, call: Call) -> pb.VerifyPrescriptionResponse:
        """Whether what is shown is what was signed."""
        prescription, made = _signed_with_lines(call, request.prescription_id)
        found, keys = acts.verify(
            call, self._signatures, acts.Shown(prescription, {line.row.prescription_line_id: line for line in made})
        )
        return pb.VerifyPrescriptionResponse(
            valid=bool(found) and all(each.valid for each in found),
            acts=found,
            keys=[pb.SigningKey(key_id=each, pem=self._signatures.pem(each)) for each in sorted(keys)],
        )

    def GetPrescriptionDocument(
        self, request: pb.GetPrescriptionDocumentRequest, call: Call
    ) -> pb.GetPrescriptionDocumentResponse:
        """A signed prescription to print."""
        prescription, made = _signed_with_lines(call, request.prescription_id)
        place = facility_of(call, prescription.facility_id, field="prescription_id")
        data = prescription_pdf(prescription, [line.message for line in made], zone=place.time_zone)
        return pb.GetPrescriptionDocumentResponse(
            document=httpbody_pb2.HttpBody(content_type="application/pdf", data=data)
        )

    # ----------------------------------------------------------------------------------------------------------- lines

    def GetPrescriptionLine(self, request: pb.GetPrescriptionLineRequest, call: Call) -> pb.GetPrescriptionLineResponse:
        """A line as it stands."""
        line = lines.of_person(call, request.prescription_line_id)
        return pb.GetPrescriptionLineResponse(prescription_line=line.shown())

    def ListPrescriptionLines(
        self, request: pb.ListPrescriptionLinesRequest, call: Call
    ) -> pb.ListPrescriptionLinesResponse:
        """The lines of a person, newest first."""
        found, token = lines.page(call, request)
        return pb.ListPrescriptionLinesResponse(
            prescription_lines=[line.shown() for line in found], next_page_token=token
        )

    def ListPrescriptionLineVersions(
        self, request: pb.ListPrescriptionLineVersionsRequest, call: Call
    ) -> pb.ListPrescriptionLineVersionsResponse:
        """Every version of a line, newest first."""
        line = lines.of_person(call, request.prescription_line_id)
        versions, token = lines.LINE.history(call, line.row, request)
        return pb.ListPrescriptionLineVersionsResponse(versions=versions, next_page_token=token)

    def StopPrescriptionLine(
        self, request: pb.StopPrescriptionLineRequest, call: Call
    ) -> pb.StopPrescriptionLineResponse:
        """Ends a line now."""
        line = _to_order(call, request.prescription_line_id)
        check_in_force(line.status)
        check_reason(request.reason, request.text)
        done = lines.stop(call, line, request.reason, request.text)
        self._sign_act(call, Act.STOP, done, {"reason": int(request.reason), "text": request.text.strip()})
        return pb.StopPrescriptionLineResponse(prescription_line=done.shown())

    def SuspendPrescriptionLine(
        self, request: pb.SuspendPrescriptionLineRequest, call: Call
    ) -> pb.SuspendPrescriptionLineResponse:
        """Suspends a line from now on."""
        line = _to_order(call, request.prescription_line_id)
        until = from_timestamp(request.until) if request.HasField("until") else None
        check_suspend(line.status, until, call.now)
        check_reason(request.reason, request.text)
        done = lines.suspend(call, line, request.reason, request.text, until)
        said = {
            "reason": int(request.reason),
            "text": request.text.strip(),
            "until": request.until.ToJsonString() if until else None,
        }
        self._sign_act(call, Act.SUSPEND, done, said)
        return pb.SuspendPrescriptionLineResponse(prescription_line=done.shown())

    def ResumePrescriptionLine(
        self, request: pb.ResumePrescriptionLineRequest, call: Call
    ) -> pb.ResumePrescriptionLineResponse:
        """Gives a suspended line again from now on: what came to light meanwhile is checked as for a new one."""
        strip = self._people.strip(call)
        queries.lock_person(call)
        line = _to_order(call, request.prescription_line_id)
        check_resume(line.status)
        self._checker.check_again(call, line, plan_of(call), strip)
        done = lines.resume(call, line)
        self._sign_act(call, Act.RESUME, done, {})
        return pb.ResumePrescriptionLineResponse(prescription_line=done.shown())

    def _sign_act(self, call: Call, act: Act, line: lines.Line, said: dict[str, object]) -> None:
        acts.keep(
            call,
            self._signatures,
            act,
            {"line": acts.signed_line(line.message), "said": said},
            prescription_id=line.row.prescription_id,
            line_id=line.row.prescription_line_id,
        )


def _check_draft(call: Call, prescription: pb.Prescription) -> None:
    """Refuses a facility that is not the association's, or where the caller does not prescribe; and more than can be kept."""
    check_size(prescription.ByteSize(), [order.ByteSize() for order in prescription.orders])
    facility_of(call, prescription.facility_id, field="prescription.facility_id")
    if not may_decide_at(call, Place(prescription.facility_id)):
        raise Refusal(PRESCRIBER_UNKNOWN, field="prescription.facility_id")


def _draft(call: Call, prescription_id: str, *, lock: bool = True) -> AnyRow:
    """The caller's own draft, locked unless told; one that was signed says so."""
    row = queries.draft(call, prescription_id, lock=lock)
    if row is None:
        queries.one(call, prescription_id)
        raise Refusal(ALREADY_SIGNED, field="prescription_id")
    return row


def _signed_with_lines(call: Call, prescription_id: str) -> tuple[pb.Prescription, list[lines.Line]]:
    row = queries.signed(call, prescription_id)
    if row is None:
        queries.one(call, prescription_id)
        raise Refusal(NOT_SIGNED, field="prescription_id")
    return queries.shown(row), lines.of_prescription(call, prescription_id)


def _to_order(call: Call, line_id: str) -> lines.Line:
    """A line that something is ordered about: locked, and read before as it is now."""
    line = lines.of_person(call, line_id, lock=True)
    call.check_etag(line.row.prescription_line_id, line.row.version)
    return line


def _lines(call: Call, signed: pb.Prescription, examined: Examined) -> list[pb.PrescriptionLine]:
    """The lines that the orders become."""
    made = []
    overrides = {each.alert_key: each for each in signed.overrides}
    for line_id, ordered, view in zip(signed.line_ids, examined.ordered, examined.views, strict=True):
        made.append(
            pb.PrescriptionLine(
                prescription_line_id=line_id,
                beneficiary_id=call.beneficiary_id,
                prescription_id=signed.prescription_id,
                facility_id=ordered.order.facility_id or signed.facility_id,
                order=ordered.order,
                view=view,
                signed_at=signed.signed_at,
                prescriber_account_id=signed.prescriber.account_id,
                prescriber_name=full_name(signed.prescriber.given_name, signed.prescriber.family_name),
                overrides=[
                    pb.SignedOverride(
                        alert=alert, reason=overrides[alert.key].reason, text=overrides[alert.key].text.strip()
                    )
                    for alert in signed.report.alerts
                    if alert.overridden and ordered.reference in alert.references
                ],
                unavailable=[each for each in signed.report.unavailable if ordered.reference in each.references],
            )
        )
    return made


def _announce(call: Call, signed: pb.Prescription, examined: Examined) -> None:
    call.facility_id = signed.facility_id
    call.publish(
        events_pb2.PrescriptionSigned(
            prescription_id=signed.prescription_id,
            version=signed.version.version,
            beneficiary_id=signed.beneficiary_id,
            facility_id=signed.facility_id,
            line_ids=signed.line_ids,
        )
    )
    reasons = {each.alert_key: each.reason for each in signed.overrides}
    overridden: Sequence[pb.Alert] = [alert for alert in examined.report.alerts if alert.overridden]
    if overridden:
        call.publish(
            events_pb2.CheckOverridden(
                prescription_id=signed.prescription_id,
                version=signed.version.version,
                beneficiary_id=signed.beneficiary_id,
                facility_id=signed.facility_id,
                overridden=[
                    events_pb2.OverriddenAlert(
                        kind=int(alert.kind),
                        level=int(alert.level),
                        reason=int(reasons[alert.key]),
                    )
                    for alert in overridden
                ],
            )
        )
