"""Associations, facilities and units as the contract says them."""

from __future__ import annotations

from dui.identity.v1 import organisation_pb2 as pb
from dui_kit.calls.call import Call

from dui_identity.organisation.rules import FINESS_CATEGORIES
from dui_identity.organisation.tables import Association, Facility, Unit


def to_association(row: Association, problem: int = 0) -> pb.Association:
    """An association; `problem`: what stands in the way of its accounts."""
    return pb.Association(
        association_id=row.tenant_id,
        slug=row.slug,
        name=row.name,
        finess_ej=row.finess_ej,
        siren=row.siren,
        active=row.active,
        provisioning_problem=problem,  # type: ignore[arg-type]
        etag=Call.etag(row.tenant_id, row.version),
    )


def to_facility(row: Facility) -> pb.Facility:
    """A facility."""
    return pb.Facility(
        facility_id=row.facility_id,
        name=row.name,
        finess_et=row.finess_et,
        category_code=row.category_code,
        category_label=FINESS_CATEGORIES[row.category_code],
        time_zone=row.time_zone,
        town=row.town,
        etag=Call.etag(row.facility_id, row.version),
    )


def to_unit(row: Unit) -> pb.Unit:
    """A unit."""
    return pb.Unit(
        unit_id=row.unit_id, facility_id=row.facility_id, name=row.name, etag=Call.etag(row.unit_id, row.version)
    )
