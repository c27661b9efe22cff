"""The RPCs of CatalogueService."""

from __future__ import annotations

from dui.medication.v1 import catalogue_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.db.columns import AnyRow
from dui_kit.errors import Refusal, not_found
from dui_kit.times import to_timestamp

from dui_medication.catalogue import queries
from dui_medication.catalogue.mapping import specialty_of_row
from dui_medication.catalogue.rules import CATALOGUE_MISSING, EDITION_UNKNOWN, searched_words
from dui_medication.posology.units import units_for


def _match(row: AnyRow) -> pb.SpecialtyMatch:
    return pb.SpecialtyMatch.FromString(row.match)


def _check_loaded(call: Call) -> int:
    """The current edition; refuses when there is none: "not found" would be taken for "does not exist"."""
    edition = queries.last_edition(call)
    if edition is None:
        raise Refusal(CATALOGUE_MISSING)
    return edition


def _edition_of(request: pb.GetSpecialtyRequest | pb.ListCatalogueChangesRequest, current: int) -> int | None:
    """The edition that is asked for, which has to be there; None: the current one."""
    if not request.HasField("edition"):
        return None
    if not 0 < request.edition <= current:
        raise Refusal(EDITION_UNKNOWN, field="edition")
    return request.edition


def _edition(row: AnyRow) -> pb.CatalogueEdition:
    return pb.CatalogueEdition(
        edition=row.edition,
        source=row.source,
        published_on=row.published_on.isoformat(),
        imported_at=to_timestamp(row.imported_at),
        specialties=row.specialties,
        presentations=row.presentations,
        added=row.added,
        withdrawn=row.withdrawn,
        changed=row.changed,
    )


def _change(row: AnyRow) -> pb.CatalogueChange:
    if row.new_match is None:
        kind = pb.CATALOGUE_CHANGE_KIND_WITHDRAWN
    elif row.old_match is None:
        kind = pb.CATALOGUE_CHANGE_KIND_ADDED
    else:
        kind = pb.CATALOGUE_CHANGE_KIND_CHANGED
    name = pb.SpecialtyMatch.FromString(row.new_match or row.old_match).name
    return pb.CatalogueChange(cis=row.cis, name=name, kind=kind)


class CatalogueServicer:
    """Reads the catalogue; `dui catalogue import` writes it."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["CatalogueService"]

    def SearchSpecialties(self, request: pb.SearchSpecialtiesRequest, call: Call) -> pb.SearchSpecialtiesResponse:
        """Specialties as somebody types."""
        words, marketed_only = searched_words(request.text), not request.include_unmarketed
        page = call.page(request)
        rows, token = queries.search(call, words, page, marketed_only=marketed_only)
        if rows or page.after:
            return pb.SearchSpecialtiesResponse(matches=map(_match, rows), next_page_token=token)
        _check_loaded(call)
        slip = max(words, key=len)
        word = queries.nearest(call, slip)
        if word is None:
            return pb.SearchSpecialtiesResponse()
        read_as = tuple(word if each == slip else each for each in words)
        rows, _ = queries.search(call, read_as, page, marketed_only=marketed_only)
        return pb.SearchSpecialtiesResponse(matches=map(_match, rows), read_as=" ".join(read_as) if rows else None)

    def GetSpecialty(self, request: pb.GetSpecialtyRequest, call: Call) -> pb.GetSpecialtyResponse:
        """A specialty, now or as it was."""
        edition = _edition_of(request, _check_loaded(call))
        row = queries.specialty_of(call, request.cis, edition)
        if row is None:
            raise not_found("cis")
        found = specialty_of_row(row)
        found.dose_units.extend(
            pb.DoseUnit(code=unit.code, label=unit.many) for unit in units_for(found.form, found.name)
        )
        return pb.GetSpecialtyResponse(specialty=found)

    def GetPresentation(self, request: pb.GetPresentationRequest, call: Call) -> pb.GetPresentationResponse:
        """What a scanned box is."""
        _check_loaded(call)
        row = queries.specialty_of_box(call, request.cip13)
        if row is None:
            raise not_found("cip13")
        box = pb.Presentation(cip13=request.cip13, label=row.label, marketed=row.marketed)
        return pb.GetPresentationResponse(presentation=box, specialty=specialty_of_row(row))

    def ListCatalogueEditions(
        self, request: pb.ListCatalogueEditionsRequest, call: Call
    ) -> pb.ListCatalogueEditionsResponse:
        """The editions, newest first."""
        rows, token = queries.editions(call, call.page(request))
        return pb.ListCatalogueEditionsResponse(editions=map(_edition, rows), next_page_token=token)

    def ListCatalogueChanges(
        self, request: pb.ListCatalogueChangesRequest, call: Call
    ) -> pb.ListCatalogueChangesResponse:
        """What an edition changed."""
        current = _check_loaded(call)
        edition = _edition_of(request, current) or current
        rows, token = queries.changes(call, edition, call.page(request))
        return pb.ListCatalogueChangesResponse(changes=map(_change, rows), next_page_token=token)
