"""Associations, facilities and units."""

from __future__ import annotations

from dui.identity.v1 import organisation_pb2 as pb
from dui.identity.v1 import professions_pb2
from dui_kit.calls.call import Call
from dui_kit.errors import not_found
from dui_kit.identifiers import normalise_name
from sqlalchemy import select, text

from dui_identity.organisation import rules
from dui_identity.organisation.events import facility_changed, tenant_changed, unit_changed
from dui_identity.organisation.mapping import to_association, to_facility, to_unit
from dui_identity.organisation.queries import association_of, is_facility
from dui_identity.organisation.tables import Association, Facility, Unit
from dui_identity.policy.queries import announce_policy, policy_in_force
from dui_identity.provisioning.queue import association_problem, enqueue
from dui_identity.provisioning.rules import Kind, Problem, in_vain
from dui_identity.staff import opening
from dui_identity.staff.queries import lock_account, professional_of
from dui_identity.staff.rules import Period, Status, clean_email

_TENANT_OF_SLUG = text("SELECT tenant_of_slug(:slug)")


class AssociationServicer:
    """Associations: opened and suspended by an operator."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AssociationService"]

    def __init__(self, password_key: bytes) -> None:
        """The key of first passwords, for the first administrators."""
        self._password_key = password_key

    def CreateAssociation(self, request: pb.CreateAssociationRequest, call: Call) -> pb.CreateAssociationResponse:
        """Opens an association; with a slug that exists, answers what it is."""
        wanted = request.association
        known = call.session.scalar(_TENANT_OF_SLUG, {"slug": wanted.slug})
        if known is not None:
            call.enter_tenant(str(known))
            row = association_of(call)
            return pb.CreateAssociationResponse(
                association=to_association(row, association_problem(call)),
                administrator_account_id=row.administrator_account_id or "",
                temporary_password=self._invite_again(call, row, request.administrator),
            )
        tenant_id = call.new_id()
        call.enter_tenant(tenant_id)
        row = Association(
            tenant_id=tenant_id,
            slug=wanted.slug,
            name=rules.clean_name(wanted.name, field="association.name"),
            finess_ej=wanted.finess_ej or None,
            siren=wanted.siren or None,
            active=True,
            version=1,
        )
        call.session.add(row)
        call.session.flush()
        enqueue(call, account_id=None, kind=Kind.ORGANIZATION)
        call.publish(tenant_changed(row))
        announce_policy(call, policy_in_force(call))
        password = self._first_administrator(call, row, request.administrator)
        return pb.CreateAssociationResponse(
            association=to_association(row),
            administrator_account_id=row.administrator_account_id or "",
            temporary_password=password,
        )

    def _first_administrator(self, call: Call, row: Association, who: pb.FirstAdministrator) -> str | None:
        professional = opening.add_professional(
            call,
            family_name=rules.clean_name(who.family_name, field="administrator.family_name"),
            given_name=rules.clean_name(who.given_name, field="administrator.given_name"),
            profession=professions_pb2.PROFESSION_ADMINISTRATOR,
            author_account_id=None,
            email=clean_email(who.email) or None,
        )
        account, password = opening.open_account(
            call,
            professional,
            who.login,
            field="administrator.login",
            author_account_id=None,
            password_key=self._password_key,
        )
        opening.assign(
            call,
            account.account_id,
            professions_pb2.PROFESSION_ADMINISTRATOR,
            Period(call.now, None),
            author_account_id=None,
        )
        row.administrator_account_id = account.account_id
        return password

    def _invite_again(self, call: Call, row: Association, who: pb.FirstAdministrator) -> str | None:
        """Invites the first administrator once more, as they are told of now, when nothing came of the invitation: until they
        have entered there is nobody else who could."""
        account = lock_account(call, row.administrator_account_id) if row.administrator_account_id else None
        if account is None or not in_vain(Status(account.status), Problem(account.problem)):
            return None
        professional = professional_of(call, account.professional_id, lock=True)
        professional.email = clean_email(who.email) or None
        professional.version += 1
        return opening.invite(call, account, professional, password_key=self._password_key)

    def SetAssociationStatus(
        self, request: pb.SetAssociationStatusRequest, call: Call
    ) -> pb.SetAssociationStatusResponse:
        """Suspends or reopens an association; saying again what it is changes nothing."""
        row = call.session.scalars(
            select(Association).where(Association.tenant_id == call.tenant_id).with_for_update()
        ).one_or_none()
        if row is None:
            raise not_found("tenant_id")
        if row.active is not request.active:
            row.active = request.active
            row.version += 1
            call.publish(tenant_changed(row))
            enqueue(call, account_id=None, kind=Kind.ORGANIZATION)
        return pb.SetAssociationStatusResponse(association=to_association(row))

    def GetAssociation(self, request: pb.GetAssociationRequest, call: Call) -> pb.GetAssociationResponse:  # noqa: ARG002
        """The caller's association."""
        return pb.GetAssociationResponse(association=to_association(association_of(call), association_problem(call)))


class FacilityServicer:
    """Facilities of the association."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["FacilityService"]

    def CreateFacility(self, request: pb.CreateFacilityRequest, call: Call) -> pb.CreateFacilityResponse:
        """Adds a facility."""
        row = Facility(tenant_id=call.tenant_id, facility_id=call.new_id(), version=1)
        _fill_facility(row, request.facility)
        call.session.add(row)
        call.session.flush()
        call.publish(facility_changed(row))
        return pb.CreateFacilityResponse(facility=to_facility(row))

    def GetFacility(self, request: pb.GetFacilityRequest, call: Call) -> pb.GetFacilityResponse:
        """One facility."""
        return pb.GetFacilityResponse(facility=to_facility(self._one(call, request.facility_id)))

    def ListFacilities(self, request: pb.ListFacilitiesRequest, call: Call) -> pb.ListFacilitiesResponse:
        """The facilities, by name."""
        query = select(Facility).where(Facility.tenant_id == call.tenant_id)
        rows, token = call.page(request).fetch(call.session, query, Facility.name_key, Facility.facility_id)
        return pb.ListFacilitiesResponse(facilities=[to_facility(row) for row in rows], next_page_token=token)

    def UpdateFacility(self, request: pb.UpdateFacilityRequest, call: Call) -> pb.UpdateFacilityResponse:
        """Changes a facility."""
        row = self._one(call, request.facility_id, lock=True)
        call.check_etag(row.facility_id, row.version)
        _fill_facility(row, call.apply_mask(to_facility(row), request.facility, request.update_mask, prefix="facility"))
        row.version += 1
        call.session.flush()
        call.publish(facility_changed(row))
        return pb.UpdateFacilityResponse(facility=to_facility(row))

    @staticmethod
    def _one(call: Call, facility_id: str, *, lock: bool = False) -> Facility:
        query = select(Facility).where(Facility.tenant_id == call.tenant_id, Facility.facility_id == facility_id)
        row = call.session.scalars(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise not_found("facility_id")
        return row


class UnitServicer:
    """Units of a facility."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["UnitService"]

    def CreateUnit(self, request: pb.CreateUnitRequest, call: Call) -> pb.CreateUnitResponse:
        """Adds a unit to a facility."""
        self._check_facility(call, request.facility_id)
        row = Unit(tenant_id=call.tenant_id, unit_id=call.new_id(), facility_id=request.facility_id, version=1)
        _fill_unit(row, request.unit)
        call.session.add(row)
        call.session.flush()
        call.publish(unit_changed(row))
        return pb.CreateUnitResponse(unit=to_unit(row))

    def ListUnits(self, request: pb.ListUnitsRequest, call: Call) -> pb.ListUnitsResponse:
        """The units of a facility, by name."""
        self._check_facility(call, request.facility_id)
        query = select(Unit).where(Unit.tenant_id == call.tenant_id, Unit.facility_id == request.facility_id)
        rows, token = call.page(request).fetch(call.session, query, Unit.name_key)
        return pb.ListUnitsResponse(units=[to_unit(row) for row in rows], next_page_token=token)

    def UpdateUnit(self, request: pb.UpdateUnitRequest, call: Call) -> pb.UpdateUnitResponse:
        """Changes a unit."""
        row = call.session.scalars(
            select(Unit)
            .where(
                Unit.tenant_id == call.tenant_id,
                Unit.facility_id == request.facility_id,
                Unit.unit_id == request.unit_id,
            )
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise not_found("unit_id")
        call.check_etag(row.unit_id, row.version)
        _fill_unit(row, call.apply_mask(to_unit(row), request.unit, request.update_mask, prefix="unit"))
        row.version += 1
        call.session.flush()
        call.publish(unit_changed(row))
        return pb.UpdateUnitResponse(unit=to_unit(row))

    @staticmethod
    def _check_facility(call: Call, facility_id: str) -> None:
        if not is_facility(call, facility_id):
            raise not_found("facility_id")


def _fill_facility(row: Facility, wanted: pb.Facility) -> None:
    rules.category_label(wanted.category_code)
    rules.check_time_zone(wanted.time_zone)
    row.name = rules.clean_name(wanted.name, field="facility.name")
    row.name_key = normalise_name(row.name)
    row.finess_et = wanted.finess_et
    row.category_code = wanted.category_code
    row.time_zone = wanted.time_zone
    row.town = wanted.town or None


def _fill_unit(row: Unit, wanted: pb.Unit) -> None:
    row.name = rules.clean_name(wanted.name, field="unit.name")
    row.name_key = normalise_name(row.name)
