"""The RPC of IdentityStripService."""

from __future__ import annotations

from dui.records.v1 import identity_strips_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.calls.stamps import stamp
from dui_kit.db.columns import AnyRow
from dui_kit.errors import not_found

from dui_records.beneficiaries.mapping import identity_of_row
from dui_records.beneficiaries.rules import usable_identifier
from dui_records.identity_strips.queries import strip_of


class IdentityStripServicer:
    """What is checked of a person before a medicine is prescribed or given."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["IdentityStripService"]

    def GetIdentityStrip(self, request: pb.GetIdentityStripRequest, call: Call) -> pb.GetIdentityStripResponse:
        """The strip of a person."""
        found = strip_of(call, request.beneficiary_id)
        if found is None:
            raise not_found("beneficiary_id")
        strip = _of_person(found.person)
        strip.beneficiary_id = request.beneficiary_id
        strip.merged_beneficiary_ids.extend(found.merged_ids)
        strip.stays.extend(map(_stay, found.stays))
        strip.allergies.extend(map(_allergy, found.allergies))
        stamp(strip.read_at, call.now)
        return pb.GetIdentityStripResponse(strip=strip)


def _of_person(row: AnyRow) -> pb.IdentityStrip:
    strip = pb.IdentityStrip(
        surviving_id=row.beneficiary_id,
        birth_name=row.birth_name,
        birth_given_names=row.birth_given_names,
        used_name=row.used_name,
        used_given_name=row.used_given_name,
        birth_date=row.birth_date,
        sex=row.sex,
        birth_place_code=row.birth_place_code,
        identity_status=row.identity_status,
        doubtful=row.doubtful,
        fictitious=row.fictitious,
        homonym=row.homonym,
        died_on=row.died_on.isoformat() if row.died_on else None,
        identity_version=row.version,
    )
    identifier = usable_identifier(identity_of_row(row))
    if identifier is not None:
        strip.national_identifier.value = identifier.value
        strip.national_identifier.oid = identifier.oid
    return strip


def _stay(row: AnyRow) -> pb.StripStay:
    return pb.StripStay(
        stay_id=row.stay_id,
        facility_id=row.facility_id,
        unit_id=row.unit_id,
        room=row.room,
        modality=row.modality,
    )


def _allergy(row: AnyRow) -> pb.StripAllergy:
    return pb.StripAllergy(
        allergy_id=row.allergy_id,
        kind=row.kind,
        substance=row.substance,
        severity=row.severity,
        status=row.status,
        version=row.version,
    )
