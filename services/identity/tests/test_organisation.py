"""Associations, facilities and units, through the guard on a real PostgreSQL."""

from __future__ import annotations

import pytest
from dui.access.v1 import facts_pb2
from dui.identity.v1 import access_pb2, professions_pb2
from dui.identity.v1 import organisation_pb2 as pb
from dui_identity.testing import Association, open_association
from dui_kit.ids import new_id
from dui_kit.testing import CallFailed, Harness
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

P = professions_pb2.Profession


def facility(**changes: str) -> pb.Facility:
    values = {
        "name": "Les Tilleuls",
        "finess_et": "010000024",
        "category_code": "500",
        "time_zone": "Europe/Paris",
        **changes,
    }
    return pb.Facility(**values)


def create_facility(association: Association, **changes: str) -> pb.Facility:
    return association.call(
        "FacilityService/CreateFacility", pb.CreateFacilityRequest(facility=facility(**changes))
    ).facility


class TestAssociations:
    def test_an_association_opens_with_its_policy_and_an_administrator_who_may_act(
        self, harness: Harness, association: Association
    ) -> None:
        found = association.call("AssociationService/GetAssociation", pb.GetAssociationRequest()).association
        assert (found.association_id, found.slug, found.active) == (association.tenant_id, association.slug, True)
        published = harness.admin(
            "SELECT event_type, count(*) FROM outbox WHERE tenant_id = %s GROUP BY 1", (association.tenant_id,)
        )
        assert dict(published)["dui.access.v1.PolicyChanged"] == 22
        assert dict(published)["dui.access.v1.TenantChanged"] == 1

    def test_opening_it_again_changes_nothing_and_shows_no_password(
        self, harness: Harness, association: Association
    ) -> None:
        before = harness.admin("SELECT count(*) FROM outbox")
        again = harness.call(
            "dui.identity.v1.AssociationService/CreateAssociation",
            pb.CreateAssociationRequest(
                association=pb.Association(slug=association.slug, name="Another name"),
                administrator=pb.FirstAdministrator(family_name="A", given_name="B", login="somebody-else"),
            ),
            idempotency_key="a-key",
        )
        assert again.association.association_id == association.tenant_id
        assert again.administrator_account_id == association.administrator_account_id
        assert not again.HasField("temporary_password")
        assert harness.admin("SELECT count(*) FROM outbox") == before

    def test_no_person_opens_or_suspends_an_association(self, association: Association) -> None:
        with pytest.raises(CallFailed) as refused:
            association.call(
                "AssociationService/SetAssociationStatus",
                pb.SetAssociationStatusRequest(tenant_id=association.tenant_id, active=False),
            )
        assert refused.value.reason == "SERVICE_ONLY"

    def test_a_suspended_association_is_closed_to_its_people_until_it_reopens(
        self, harness: Harness, association: Association
    ) -> None:
        operation = "dui.identity.v1.AssociationService/SetAssociationStatus"
        request = pb.SetAssociationStatusRequest(tenant_id=association.tenant_id, active=False)
        assert harness.call(operation, request).association.active is False
        assert harness.call(operation, request).association.active is False
        with pytest.raises(CallFailed) as refused:
            association.call("AssociationService/GetAssociation", pb.GetAssociationRequest())
        assert refused.value.reason == "ASSOCIATION_INACTIVE"
        harness.call(operation, pb.SetAssociationStatusRequest(tenant_id=association.tenant_id, active=True))
        assert association.call("AssociationService/GetAssociation", pb.GetAssociationRequest()).association.active
        versions = harness.admin(
            "SELECT aggregate_version FROM outbox WHERE tenant_id = %s AND event_type LIKE '%%TenantChanged' ORDER BY 1",
            (association.tenant_id,),
        )
        assert versions == [(1,), (2,), (3,)]

    def test_an_unknown_association_is_not_found(self, harness: Harness) -> None:
        with pytest.raises(CallFailed) as refused:
            harness.call(
                "dui.identity.v1.AssociationService/SetAssociationStatus",
                pb.SetAssociationStatusRequest(tenant_id=new_id(), active=False),
            )
        assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "tenant_id")

    def test_services_see_every_association(self, harness: Harness, association: Association) -> None:
        other = open_association(harness)
        found = harness.call("dui.identity.v1.AccessFactService/ListTenants", access_pb2.ListTenantsRequest())
        assert {association.tenant_id, other.tenant_id} <= set(found.tenant_ids)


class TestFacilities:
    def test_a_facility_has_the_french_name_of_its_category(self, association: Association) -> None:
        created = create_facility(association)
        assert created.category_label == "Établissement d'hébergement pour personnes âgées dépendantes (EHPAD)"
        found = association.call(
            "FacilityService/GetFacility", pb.GetFacilityRequest(facility_id=created.facility_id)
        ).facility
        assert found == created

    @pytest.mark.parametrize(
        ("changes", "field", "reason"),
        [
            ({"category_code": "999"}, "facility.category_code", "CATEGORY_CODE_UNKNOWN"),
            ({"finess_et": "480787529"}, "facility.finess_et", "FORMAT_INVALID"),
            ({"time_zone": "Europe/Lutece"}, "facility.time_zone", "FORMAT_INVALID"),
            ({"time_zone": "UTC"}, "facility.time_zone", "TIME_ZONE_UNKNOWN"),
            ({"name": "  "}, "facility.name", "FIELD_REQUIRED"),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_field(
        self, association: Association, changes: dict[str, str], field: str, reason: str
    ) -> None:
        with pytest.raises(CallFailed) as refused:
            create_facility(association, **changes)
        assert (refused.value.field, refused.value.reason) == (field, reason)

    def test_the_same_finess_twice_is_refused_but_not_in_another_association(
        self, harness: Harness, association: Association
    ) -> None:
        create_facility(association)
        with pytest.raises(CallFailed) as refused:
            create_facility(association, name="Other")
        assert refused.value.reason == "FINESS_TAKEN"
        assert create_facility(open_association(harness)).facility_id

    def test_a_change_needs_the_etag_of_what_was_read(self, association: Association) -> None:
        created = create_facility(association)
        request = pb.UpdateFacilityRequest(
            facility_id=created.facility_id,
            facility=pb.Facility(town="Nantes", category_code="183"),
            update_mask=FieldMask(paths=["town", "category_code"]),
        )
        changed = association.call("FacilityService/UpdateFacility", request, if_match=created.etag).facility
        assert (changed.town, changed.category_label) == ("Nantes", "Institut médico-éducatif (IME)")
        assert changed.name == created.name
        for if_match, reason in ((created.etag, "ETAG_STALE"), ("", "PRECONDITION_REQUIRED")):
            with pytest.raises(CallFailed) as refused:
                association.call("FacilityService/UpdateFacility", request, if_match=if_match)
            assert refused.value.reason == reason

    def test_a_change_is_checked_as_a_whole(self, association: Association) -> None:
        created = create_facility(association)
        request = pb.UpdateFacilityRequest(
            facility_id=created.facility_id,
            facility=pb.Facility(category_code="000"),
            update_mask=FieldMask(paths=["category_code"]),
        )
        with pytest.raises(CallFailed) as refused:
            association.call("FacilityService/UpdateFacility", request, if_match=created.etag)
        assert refused.value.reason == "CATEGORY_CODE_UNKNOWN"

    def test_facilities_are_listed_by_name_without_accents_page_by_page(self, association: Association) -> None:
        names = ["Érables", "Acacias", "Tilleuls"]
        for name, finess in zip(names, ["010000024", "010780054", "750100125"], strict=True):
            create_facility(association, name=name, finess_et=finess)
        seen, token = [], ""
        while True:
            page = association.call(
                "FacilityService/ListFacilities", pb.ListFacilitiesRequest(page_size=1, page_token=token)
            )
            seen += [one.name for one in page.facilities]
            token = page.next_page_token
            if not token:
                break
        assert seen == ["Acacias", "Érables", "Tilleuls"]

    def test_who_may_not_administer_the_organisation_reads_it(self, association: Association) -> None:
        _, nurse = association.person(P.PROFESSION_NURSE)
        assert not association.call("FacilityService/ListFacilities", pb.ListFacilitiesRequest(), as_=nurse).facilities
        with pytest.raises(CallFailed) as refused:
            association.call("FacilityService/CreateFacility", pb.CreateFacilityRequest(facility=facility()), as_=nurse)
        assert refused.value.reason == "RIGHT_MISSING"

    def test_another_associations_facility_does_not_exist(self, harness: Harness, association: Association) -> None:
        other = create_facility(open_association(harness))
        for operation, request in (
            ("FacilityService/GetFacility", pb.GetFacilityRequest(facility_id=other.facility_id)),
            ("UnitService/ListUnits", pb.ListUnitsRequest(facility_id=other.facility_id)),
            (
                "UnitService/CreateUnit",
                pb.CreateUnitRequest(facility_id=other.facility_id, unit=pb.Unit(name="Nord")),
            ),
        ):
            with pytest.raises(CallFailed) as refused:
                association.call(operation, request)
            assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "facility_id")


class TestUnits:
    def test_units_of_a_facility_are_listed_by_name_and_each_has_its_own(self, association: Association) -> None:
        place = create_facility(association)
        for name in ("Sud", "Nord"):
            association.call(
                "UnitService/CreateUnit",
                pb.CreateUnitRequest(facility_id=place.facility_id, unit=pb.Unit(name=name)),
            )
        with pytest.raises(CallFailed) as refused:
            association.call(
                "UnitService/CreateUnit",
                pb.CreateUnitRequest(facility_id=place.facility_id, unit=pb.Unit(name=" nord ")),
            )
        assert refused.value.reason == "UNIT_NAME_TAKEN"
        first = association.call(
            "UnitService/ListUnits", pb.ListUnitsRequest(facility_id=place.facility_id, page_size=1)
        )
        second = association.call(
            "UnitService/ListUnits",
            pb.ListUnitsRequest(facility_id=place.facility_id, page_size=1, page_token=first.next_page_token),
        )
        assert [unit.name for unit in (*first.units, *second.units)] == ["Nord", "Sud"]
        assert not second.next_page_token

    def test_a_unit_is_changed_under_its_own_facility_only(self, association: Association) -> None:
        place = create_facility(association)
        other = create_facility(association, finess_et="010780054")
        unit = association.call(
            "UnitService/CreateUnit", pb.CreateUnitRequest(facility_id=place.facility_id, unit=pb.Unit(name="Nord"))
        ).unit
        request = pb.UpdateUnitRequest(
            facility_id=place.facility_id,
            unit_id=unit.unit_id,
            unit=pb.Unit(name="Nord 1"),
            update_mask=FieldMask(paths=["name"]),
        )
        assert association.call("UnitService/UpdateUnit", request, if_match=unit.etag).unit.name == "Nord 1"
        request.facility_id = other.facility_id
        with pytest.raises(CallFailed) as refused:
            association.call("UnitService/UpdateUnit", request, if_match=unit.etag)
        assert (refused.value.reason, refused.value.field) == ("NOT_FOUND", "unit_id")


class TestFacts:
    """What other services are told of a place: what their rules depend on, and nothing else."""

    def facts(self, harness: Harness, tenant_id: str, kind: type[Message]) -> list[Message]:
        rows = harness.admin(
            "SELECT payload FROM outbox WHERE tenant_id = %s AND event_type = %s ORDER BY event_id",
            (tenant_id, kind.DESCRIPTOR.full_name),
        )
        return [kind.FromString(payload) for (payload,) in rows]

    def test_a_facility_and_its_changes_are_announced(self, harness: Harness, association: Association) -> None:
        made = create_facility(association)
        association.call(
            "FacilityService/UpdateFacility",
            pb.UpdateFacilityRequest(
                facility_id=made.facility_id,
                facility=pb.Facility(time_zone="Indian/Reunion", name="Les Filaos"),
                update_mask=FieldMask(paths=["time_zone", "name"]),
            ),
            if_match=made.etag,
        )
        told = {"facility_id": made.facility_id, "category_code": "500"}
        assert self.facts(harness, association.tenant_id, facts_pb2.FacilityChanged) == [
            facts_pb2.FacilityChanged(version=1, time_zone="Europe/Paris", **told),
            facts_pb2.FacilityChanged(version=2, time_zone="Indian/Reunion", **told),
        ]

    def test_a_unit_and_its_changes_are_announced(self, harness: Harness, association: Association) -> None:
        facility_id, unit_id = association.place()
        [unit] = association.call("UnitService/ListUnits", pb.ListUnitsRequest(facility_id=facility_id)).units
        association.call(
            "UnitService/UpdateUnit",
            pb.UpdateUnitRequest(
                facility_id=facility_id,
                unit_id=unit_id,
                unit=pb.Unit(name="Sud"),
                update_mask=FieldMask(paths=["name"]),
            ),
            if_match=unit.etag,
        )
        assert self.facts(harness, association.tenant_id, facts_pb2.UnitChanged) == [
            facts_pb2.UnitChanged(unit_id=unit_id, version=version, facility_id=facility_id) for version in (1, 2)
        ]

    def test_who_asks_about_a_facility_gets_it_and_its_units_and_no_other(
        self, harness: Harness, association: Association
    ) -> None:
        facility_id, unit_id = association.place()
        association.place("010000032")
        stranger, _ = open_association(harness).place()
        asked = access_pb2.ListAccessFactsRequest(tenant_id=association.tenant_id, subject=association.administrator)

        def places(of: str) -> list[tuple[str, str]]:
            asked.facility_id = of
            reply = harness.call("dui.identity.v1.AccessFactService/ListAccessFacts", asked)
            found = [(fact.facility.facility_id, fact.unit.unit_id) for fact in reply.facts]
            return [each for each in found if any(each)]

        assert places("") == []
        assert places(facility_id) == [(facility_id, ""), ("", unit_id)]
        assert places(stranger) == []
