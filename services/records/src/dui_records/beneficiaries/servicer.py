"""The RPCs of BeneficiaryService."""

from __future__ import annotations

from dui.records.v1 import beneficiaries_pb2 as pb
from dui_kit.calls import places
from dui_kit.calls.call import Call
from dui_kit.calls.visibility import visible_beneficiaries
from dui_kit.days import latest_day
from dui_kit.errors import not_found
from dui_kit.identifiers import parse_partial_date
from dui_kit.times import from_timestamp
from sqlalchemy import insert

from dui_records.beneficiaries import queries, rules
from dui_records.beneficiaries.events import opening, person_changed
from dui_records.beneficiaries.mapping import identity_of, identity_of_row, keys_of, to_match, to_proto
from dui_records.beneficiaries.tables import identity_check
from dui_records.insi import queries as insi
from dui_records.insi import rules as insi_rules
from dui_records.insi.port import InsiPort
from dui_records.merging import queries as merging
from dui_records.merging import rules as merging_rules
from dui_records.recognition import queries as recognition
from dui_records.recognition.rules import Likeness, search_bounds
from dui_records.stays.queries import lives_in_ehpad


class BeneficiaryServicer:
    """Identity of the persons accompanied."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["BeneficiaryService"]

    def __init__(self, insi: InsiPort) -> None:
        """`insi`: the way to the national identity service."""
        self._insi = insi

    def CreateBeneficiary(self, request: pb.CreateBeneficiaryRequest, call: Call) -> pb.CreateBeneficiaryResponse:
        """Opens a record; look-alikes are told and stop nothing."""
        identity = rules.opened(identity_of(request.beneficiary), latest_day(call.now))
        beneficiary_id = call.new_id()
        keys, traits = keys_of(identity), identity.traits
        identifier = identity.national_identifier
        likeness = Likeness(
            keys.birth_name_key,
            keys.birth_given_key,
            keys.family_key,
            traits.birth_date,
            traits.sex,
            identifier.value if identifier else None,
        )
        candidates, homonyms, facility = call.together(
            *recognition.questions(beneficiary_id, likeness, keys.homonym_key), places.question(request.facility_id)
        )
        places.answer(call, request.facility_id, facility, field="facility_id")
        duplicates, homonym = recognition.likeliest(likeness, candidates), bool(homonyms)
        beneficiary = queries.open_record(call, beneficiary_id, request.facility_id, identity, keys, homonym=homonym)
        call.publish(person_changed(beneficiary_id, 1, None))
        call.publish(opening(beneficiary_id, request.facility_id, call.now))
        call.saw([beneficiary_id, *(row.beneficiary_id for row in duplicates)])
        return pb.CreateBeneficiaryResponse(
            beneficiary=beneficiary, duplicate_candidates=[to_match(row) for row in duplicates]
        )

    def GetBeneficiary(self, _: pb.GetBeneficiaryRequest, call: Call) -> pb.GetBeneficiaryResponse:
        """The identity of a person; of the surviving record when theirs was merged."""
        return pb.GetBeneficiaryResponse(beneficiary=queries.read(call, call.beneficiary_id, call.beneficiary_ids[1:]))

    def UpdateBeneficiary(self, request: pb.UpdateBeneficiaryRequest, call: Call) -> pb.UpdateBeneficiaryResponse:
        """A new version of the identity."""
        row = queries.lock_group(call)
        call.check_etag(row.beneficiary_id, row.version)
        current = to_proto(row)
        current.ClearField("reason")  # a reason belongs to the version that it explains
        patched = call.apply_mask(current, request.beneficiary, request.update_mask, prefix="beneficiary")
        after = rules.changed(identity_of_row(row), identity_of(patched), latest_day(call.now))
        return pb.UpdateBeneficiaryResponse(beneficiary=queries.write(call, row, after))

    def ListBeneficiaryVersions(
        self, request: pb.ListBeneficiaryVersionsRequest, call: Call
    ) -> pb.ListBeneficiaryVersionsResponse:
        """Every version, newest first."""
        versions, token = call.versions(call.beneficiary_id, pb.Beneficiary, call.page(request))
        return pb.ListBeneficiaryVersionsResponse(versions=versions, next_page_token=token)

    def SearchBeneficiaries(self, request: pb.SearchBeneficiariesRequest, call: Call) -> pb.SearchBeneficiariesResponse:
        """The RNIV search."""
        rules.check_birth_date(parse_partial_date(request.birth_date), latest_day(call.now), field="birth_date")
        bounds = search_bounds(request.name_prefix)
        rows, token = recognition.search(call, request.birth_date, bounds, call.page(request))
        call.saw(row.beneficiary_id for row in rows)
        return pb.SearchBeneficiariesResponse(matches=[to_match(row) for row in rows], next_page_token=token)

    def ListFacilityBeneficiaries(
        self, request: pb.ListFacilityBeneficiariesRequest, call: Call
    ) -> pb.ListFacilityBeneficiariesResponse:
        """The persons present whom the caller may reach, by name."""
        facility = places.facility_of(call, request.facility_id, field="facility_id", unit_id=request.unit_id)
        rows, token = recognition.present_by_name(
            call,
            call.page(request),
            facility_id=request.facility_id,
            unit_id=request.unit_id or None,
            day=facility.day(call.now),
            visible=visible_beneficiaries(call, facility_id=request.facility_id),
        )
        call.saw(row.beneficiary_id for row in rows)
        listed = [
            pb.FacilityBeneficiary(
                beneficiary_id=row.beneficiary_id,
                family_name=row.family_name,
                given_name=row.given_name,
                birth_date=row.birth_date,
                sex=row.sex,
                unit_id=row.unit_id,
                stay_id=row.stay_id,
                homonym=row.homonym,
            )
            for row in rows
        ]
        return pb.ListFacilityBeneficiariesResponse(beneficiaries=listed, next_page_token=token)

    def ValidateIdentity(self, request: pb.ValidateIdentityRequest, call: Call) -> pb.ValidateIdentityResponse:
        """The identity was checked on a document; where the person lives says which documents are enough."""
        row = queries.lock_group(call)
        call.check_etag(row.beneficiary_id, row.version)
        checked_at = from_timestamp(request.checked_at)
        document = rules.IdentityDocument(request.document)
        after = rules.validated(identity_of_row(row), document, checked_at, call.now, in_ehpad=lives_in_ehpad(call))
        call.session.execute(
            insert(identity_check),
            {
                "tenant_id": call.tenant_id,
                "identity_check_id": call.new_id(),
                "beneficiary_id": row.beneficiary_id,
                "document": int(document),
                "checked_at": checked_at,
                "identity_version": row.version + 1,
                "author_account_id": call.caller.account_id,
                "recorded_at": call.now,
            },
        )
        return pb.ValidateIdentityResponse(beneficiary=queries.write(call, row, after))

    def RetrieveIns(self, _: pb.RetrieveInsRequest, call: Call) -> pb.RetrieveInsResponse:
        """Asks INSi; its answer is kept, whatever it is, and decides alone."""
        row = queries.lock_group(call)
        identity = identity_of_row(row)
        insi_rules.check_askable(identity)
        answer = self._insi.retrieve(identity.traits)
        answer_id = call.new_id()
        after = insi_rules.answered(identity, answer, answer_id)
        insi.keep(call, answer_id, row.beneficiary_id, answer)
        if after is identity:
            return pb.RetrieveInsResponse(beneficiary=queries.read(call, row.beneficiary_id, call.beneficiary_ids[1:]))
        return pb.RetrieveInsResponse(beneficiary=queries.write(call, row, after))

    def ListDuplicateCandidates(
        self, request: pb.ListDuplicateCandidatesRequest, call: Call
    ) -> pb.ListDuplicateCandidatesResponse:
        """Records that may be about the same person."""
        source = recognition.compared(call, request.beneficiary_id)
        if source is None:
            raise not_found("beneficiary_id")
        rows = recognition.alike(call, *source)
        call.saw([source[0], *(row.beneficiary_id for row in rows)])
        return pb.ListDuplicateCandidatesResponse(matches=[to_match(row) for row in rows])

    def MergeBeneficiary(self, request: pb.MergeBeneficiaryRequest, call: Call) -> pb.MergeBeneficiaryResponse:
        """Merges a record into another one."""
        surviving_id, merged_id = request.beneficiary_id, request.merged_beneficiary_id
        records = merging.lock_records(call, {"beneficiary_id": surviving_id, "merged_beneficiary_id": merged_id})
        merging.check_reach(call, records, surviving_id, merged_id)
        moved = merging_rules.merge(records, surviving_id, merged_id)
        merging.apply(
            call, "merge", moved, surviving_id=surviving_id, merged_id=merged_id, reason=request.reason.strip()
        )
        call.saw([surviving_id, merged_id])
        group = queries.merged_into(call, surviving_id)
        return pb.MergeBeneficiaryResponse(beneficiary=queries.read(call, surviving_id, group))

    def UnmergeBeneficiary(self, request: pb.UnmergeBeneficiaryRequest, call: Call) -> pb.UnmergeBeneficiaryResponse:
        """Takes a record out of another one."""
        surviving_id, merged_id = request.beneficiary_id, request.merged_beneficiary_id
        records = merging.lock_records(call, {"beneficiary_id": surviving_id, "merged_beneficiary_id": merged_id})
        merging.check_reach(call, records, surviving_id, merged_id)
        moved = merging_rules.unmerge(records, surviving_id, merged_id)
        merging.apply(
            call, "unmerge", moved, surviving_id=surviving_id, merged_id=merged_id, reason=request.reason.strip()
        )
        call.saw([surviving_id, merged_id])
        group = queries.merged_into(call, merged_id)
        return pb.UnmergeBeneficiaryResponse(beneficiary=queries.read(call, merged_id, group))
