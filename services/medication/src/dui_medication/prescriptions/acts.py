"""What was signed, kept: every signature with what it signs, and what of it is shown now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.times import from_timestamp, to_timestamp
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import and_, any_, bindparam, insert, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_medication.prescriptions.lines import Line, last_day
from dui_medication.prescriptions.rules import Act, LineStatus
from dui_medication.prescriptions.signing import SignatureInvalid, Signatures
from dui_medication.prescriptions.tables import prescription_line, signed_act

_a, _l = signed_act.c, prescription_line.c
_INSERT = Query(insert(signed_act).values(tenant_id=bindparam("tenant")))
_OF_PRESCRIPTION = Query(
    select(_a.signed_act_id, _a.prescription_line_id, _a.act, _a.signer_account_id, _a.signed_at, _a.jws)
    .where(_a.tenant_id == bindparam("tenant"), _a.prescription_id == bindparam("prescription_id"))
    .order_by(_a.signed_act_id)
)
#: The prescriptions that some lines were signed in.
_OF_LINES = Query(
    select(_a.jws)
    .join(prescription_line, and_(_l.tenant_id == _a.tenant_id, _l.prescription_id == _a.prescription_id))
    .where(
        _a.tenant_id == bindparam("tenant"),
        _l.prescription_line_id == any_(bindparam("line_ids", type_=ARRAY(UUID(as_uuid=False)))),
        _a.act == int(Act.PRESCRIPTION),
    )
)

Json = dict[str, Any]
#: What tells of the end of a line; and all that is told of it after it was signed: what is ordered about it is signed by itself,
#: reviews are not.
_END: Final = ("stopped_at", "stop_reason", "stop_text", "replaced_by_line_id")
_LATER: Final = ("status", "review", "pauses", *_END, "version", "etag")
#: The last day of a line that was ended is a day of its facility, whose clock may have been put right since.
_A_CLOCK = timedelta(days=1)


def json_of(message: Message) -> Json:
    """A message as it is signed: JSON with the names of the contract."""
    return MessageToDict(message, preserving_proto_field_name=True)


def keep(
    call: Call,
    signatures: Signatures,
    act: Act,
    content: Mapping[str, Any],
    *,
    prescription_id: str,
    line_id: str | None = None,
) -> None:
    """Signs an act of the caller, and keeps it."""
    signed: Json = {
        "type": "dui.medication.v1.signed_act",
        "act": act.name,
        "association_id": call.tenant_id,
        "beneficiary_id": call.beneficiary_id,
        "prescription_id": prescription_id,
        "prescription_line_id": line_id,
        "signed_at": to_timestamp(call.now).ToJsonString(),
        "signer": {"account_id": call.caller.account_id, "subject": call.caller.subject, "acr": call.caller.acr},
        **content,
    }
    call.write(
        _INSERT,
        signed_act_id=call.new_id(),
        beneficiary_id=call.beneficiary_id,
        prescription_id=prescription_id,
        prescription_line_id=line_id,
        act=int(act),
        signer_account_id=call.caller.account_id,
        signed_at=call.now,
        jws=signatures.sign(signed),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What the platform shows of a prescription now."""

    prescription: pb.Prescription
    lines: Mapping[str, Line]


def signed_prescription(prescription: pb.Prescription) -> Json:
    """The part of a prescription that is signed: all but the version of the row."""
    copy = pb.Prescription()
    copy.CopyFrom(prescription)
    for name in ("version", "etag"):
        copy.ClearField(name)
    return json_of(copy)


def signed_line(line: pb.PrescriptionLine) -> Json:
    """The part of a line that is signed: what was ordered, the words that it was shown in, and what was gone beyond."""
    copy = pb.PrescriptionLine()
    copy.CopyFrom(line)
    for name in _LATER:
        copy.ClearField(name)
    return json_of(copy)


def verify(call: Call, signatures: Signatures, shown: Shown) -> tuple[list[pb.SignedAct], set[str]]:
    """Every act about a prescription, with whether it holds, and the keys that signed. What is shown has to be what was signed, and
    what became of each line has to have been signed too."""
    rows = call.rows(_OF_PRESCRIPTION, prescription_id=shown.prescription.prescription_id)
    keys: set[str] = set()
    acts = []
    #: What was signed of each line, each signature once however many rows have it.
    ordered: dict[str, dict[str, Json]] = {line_id: {} for line_id in shown.lines}
    for row in rows:
        try:
            key_id, content = signatures.open(row.jws)
        except SignatureInvalid as invalid:
            defect = f"the signature is {invalid}"
        else:
            keys.add(key_id)
            defect = _difference(row, content, shown, call)
            if not defect and row.act != Act.PRESCRIPTION:
                ordered[row.prescription_line_id][row.jws] = content
        acts.append(
            pb.SignedAct(
                act=pb.SignedActKind.ValueType(row.act),
                prescription_line_id=row.prescription_line_id,
                signed_at=to_timestamp(row.signed_at),
                signer_account_id=row.signer_account_id,
                valid=not defect,
                defect=defect,
                jws=row.jws,
            )
        )
    replacing = _replacing(call, signatures, shown)
    acts += [
        pb.SignedAct(prescription_line_id=line_id, defect=defect)
        for line_id, line in shown.lines.items()
        if (defect := _unordered(line, _signed_state(ordered[line_id].values(), replacing.get(line_id))))
    ]
    return acts, keys


def _replacing(call: Call, signatures: Signatures, shown: Shown) -> dict[str, Json]:
    """Of the lines that others stand in the place of: the prescriptions of those, as they were signed, by the line replaced."""
    others = {
        line.message.replaced_by_line_id: line_id
        for line_id, line in shown.lines.items()
        if line.row.status == LineStatus.REPLACED and line.message.replaced_by_line_id
    }
    found: dict[str, Json] = {}
    for row in call.rows(_OF_LINES, line_ids=sorted(others)) if others else ():
        try:
            _, content = signatures.open(row.jws)
        except SignatureInvalid:
            continue
        for each in content.get("lines", ()):
            name = each.get("prescription_line_id")
            replaced = each.get("order", {}).get("replaces_line_id")
            if others.get(name) == replaced and content.get("association_id") == call.tenant_id:
                found[replaced] = {"act": "REPLACE", "signed_at": content["signed_at"], "by": name}
    return found


def _signed_state(ordered: Iterable[Json], replacing: Json | None) -> tuple[LineStatus, pb.PrescriptionLine]:
    """What a line has become by what was signed of it: its status as it is stored, and the fields that tell it."""
    status, line = LineStatus.ACTIVE, pb.PrescriptionLine()
    for content in sorted((*ordered, *filter(None, (replacing,))), key=lambda each: from_timestamp(_instant(each))):
        said: Json = content.get("said", {})
        match content["act"]:
            case "SUSPEND":
                status = LineStatus.SUSPENDED
                pause = line.pauses.add(since=_instant(content), reason=said["reason"], text=said["text"] or None)
                if said["until"]:
                    pause.until.FromJsonString(said["until"])
            case "RESUME" if line.pauses:
                status = LineStatus.ACTIVE
                line.pauses[-1].until.CopyFrom(_instant(content))
            case "STOP":
                status = LineStatus.STOPPED
                line.MergeFrom(
                    pb.PrescriptionLine(
                        stopped_at=_instant(content), stop_reason=said["reason"], stop_text=said["text"] or None
                    )
                )
            case "REPLACE":
                status = LineStatus.REPLACED
                line.MergeFrom(pb.PrescriptionLine(stopped_at=_instant(content), replaced_by_line_id=content["by"]))
    return status, line


def _instant(content: Json) -> Timestamp:
    instant = Timestamp()
    instant.FromJsonString(content["signed_at"])
    return instant


def _unordered(line: Line, signed: tuple[LineStatus, pb.PrescriptionLine]) -> str:
    """What became of a line that nobody signed, or was signed and did not become of it; empty: nothing."""
    status, told = signed
    message = line.message
    if line.row.status != status:
        return "where the line stands is not what was signed"
    if list(message.pauses) != list(told.pauses):
        return "the suspensions that are shown are not those that were signed"
    if any(getattr(message, name) != getattr(told, name) for name in _END):
        return "the end that is shown is not the one that was signed"
    if line.row.facility_id != message.facility_id:
        return "the facility that gives it is not the one that was signed"
    last = last_day(message.order)
    if message.HasField("stopped_at"):
        ended = from_timestamp(message.stopped_at).date()
        right = line.row.last_on <= last and (line.row.last_on == last or abs(line.row.last_on - ended) <= _A_CLOCK)
    else:
        right = line.row.last_on == last
    return "" if right else "the last day of the line is not the one that was signed"


def _difference(row: AnyRow, content: Json, shown: Shown, call: Call) -> str:
    """What differs between what was signed and what is shown; empty: nothing."""
    told = (content.get("act"), content.get("association_id"), content.get("prescription_id"))
    if told != (Act(row.act).name, call.tenant_id, shown.prescription.prescription_id):
        return "it signs another act"
    if content.get("beneficiary_id") not in call.beneficiary_ids:
        return "it is about another person"
    if content.get("signer", {}).get("account_id") != row.signer_account_id:
        return "it was signed by somebody else"
    if content.get("signed_at") != to_timestamp(row.signed_at).ToJsonString():
        return "it was signed at another time"
    if content.get("prescription_line_id") != row.prescription_line_id:
        return "it is about another line"
    if row.act != Act.PRESCRIPTION:
        return "" if row.prescription_line_id in shown.lines else "its line is gone"
    if content.get("prescription") != signed_prescription(shown.prescription):
        return "the prescription that is shown is not the one that was signed"
    signed = {each["prescription_line_id"]: each for each in content.get("lines", [])}
    if signed.keys() != shown.lines.keys():
        return "the lines that are shown are not those that were signed"
    if any(signed[name] != signed_line(line.message) for name, line in shown.lines.items()):
        return "a line that is shown is not the one that was signed"
    return ""
