"""Reading, locking and writing the identity of a person; other capabilities of this service use these too."""

from __future__ import annotations

from types import SimpleNamespace

from dui.records.v1 import beneficiaries_pb2 as pb
from dui_kit.calls.call import Call
from dui_kit.db.columns import AnyRow
from dui_kit.db.statements import Query
from dui_kit.errors import not_found
from sqlalchemy import Boolean, bindparam, insert, literal_column, select, update

from dui_records.beneficiaries.events import beneficiary_changed, opening
from dui_records.beneficiaries.mapping import completed, keys_of, to_proto, values_of
from dui_records.beneficiaries.rules import Identity
from dui_records.beneficiaries.tables import beneficiary
from dui_records.merging.rules import check_group
from dui_records.recognition.rules import NameKeys

_b = beneficiary.c
#: Somebody else of the association has nearly the same name: one lookup in beneficiary_homonym_idx. As text, because
#: SQLAlchemy correlates no subquery in the RETURNING of an INSERT.
HOMONYM = literal_column(
    "EXISTS (SELECT FROM beneficiary other WHERE other.tenant_id = beneficiary.tenant_id"
    " AND other.homonym_key = beneficiary.homonym_key"
    " AND other.beneficiary_id <> beneficiary.beneficiary_id AND other.surviving_id IS NULL)",
    Boolean,
).label("homonym")
#: What a version of an identity is read from.
IDENTITY = (
    _b.beneficiary_id,
    _b.version,
    _b.author_account_id,
    _b.recorded_at,
    _b.birth_name,
    _b.birth_given_names,
    _b.birth_date,
    _b.sex,
    _b.birth_place_code,
    _b.used_name,
    _b.used_given_name,
    _b.national_identifier,
    _b.national_identifier_oid,
    _b.identity_status,
    _b.insi_answer_id,
    _b.doubtful,
    _b.fictitious,
    _b.died_on,
    _b.reason,
    _b.surviving_id,
)
_ONE = (_b.tenant_id == bindparam("tenant"), _b.beneficiary_id == bindparam("id"))
_READ = Query(select(*IDENTITY, HOMONYM).where(*_ONE))
_LOCK = Query(
    select(*IDENTITY, _b.opened_facility_id, _b.opened_at, _b.opening_closed_at)
    .where(*_ONE)
    .with_for_update(key_share=True)
)
_GROUP = Query(select(_b.beneficiary_id).where(_b.tenant_id == bindparam("tenant"), _b.surviving_id == bindparam("id")))
_WRITE = Query(update(beneficiary).where(*_ONE).returning(*IDENTITY, HOMONYM))
_CLOSE = Query(update(beneficiary).where(*_ONE))
_INSERT = Query(insert(beneficiary).values(tenant_id=bindparam("tenant")))


def read(call: Call, beneficiary_id: str, merged_ids: tuple[str, ...]) -> pb.Beneficiary:
    """The identity of a record, in one statement; NOT_FOUND when there is none."""
    row = call.row(_READ, id=beneficiary_id)
    if row is None:
        raise not_found("beneficiary_id")
    etag = call.etag(row.beneficiary_id, row.version)
    return completed(to_proto(row), homonym=row.homonym, merged_ids=merged_ids, etag=etag)


def merged_into(call: Call, beneficiary_id: str) -> tuple[str, ...]:
    """The records merged into one, by id."""
    return tuple(sorted(row.beneficiary_id for row in call.rows(_GROUP, id=beneficiary_id)))


def lock_group(call: Call) -> AnyRow:
    """Locks the person of the call until the commit; refuses when a merge or an unmerge changed the records that answer for
    them since the call was allowed: what is meant for one person would be written onto another.

    NO KEY UPDATE: entries about the person, whose foreign keys share the key, do not wait for it.
    """
    asked = {"id": call.beneficiary_id}
    # The group is read by a statement of its own, after the lock: it sees what was committed while the lock was awaited.
    persons, merged = call.together((_LOCK, asked), (_GROUP, asked))
    if not persons:
        raise not_found("beneficiary_id")
    (row,) = persons
    check_group(row.surviving_id, call.beneficiary_ids[1:], (other.beneficiary_id for other in merged))
    return row


def open_record(
    call: Call, beneficiary_id: str, facility_id: str, identity: Identity, keys: NameKeys, *, homonym: bool
) -> pb.Beneficiary:
    """Writes the first version of an identity."""
    values = values_of(identity, keys) | {"beneficiary_id": beneficiary_id} | call.version_values(1)
    call.write(_INSERT, **values, person_version=1, opened_facility_id=facility_id, opened_at=call.now)
    return _announce(call, SimpleNamespace(**values), (), homonym=homonym)


def write(call: Call, row: AnyRow, identity: Identity) -> pb.Beneficiary:
    """Writes the next version of the identity of a locked person, and announces it."""
    (written,) = call.rows(
        _WRITE,
        id=row.beneficiary_id,
        **call.version_values(row.version + 1),
        **values_of(identity, keys_of(identity)),
    )
    return _announce(call, written, call.beneficiary_ids[1:], homonym=written.homonym)


def _announce(call: Call, row: AnyRow, merged_ids: tuple[str, ...], *, homonym: bool) -> pb.Beneficiary:
    version = to_proto(row)
    call.save_version(
        entry_id=row.beneficiary_id, version=row.version, message=version, beneficiary_id=row.beneficiary_id
    )
    call.publish(beneficiary_changed(row.beneficiary_id, row.version, row.identity_status))
    etag = call.etag(row.beneficiary_id, row.version)
    return completed(version, homonym=homonym, merged_ids=merged_ids, etag=etag)


def close_opening(call: Call, row: AnyRow, facility_id: str) -> None:
    """Ends what the opening of a record gave to its facility, once the facility has a stay: the stay takes over, and
    reaches the unit alone when it names one."""
    if row.opened_facility_id != facility_id or row.opening_closed_at is not None:
        return
    call.write(_CLOSE, id=row.beneficiary_id, opening_closed_at=call.now)
    call.publish(opening(row.beneficiary_id, facility_id, row.opened_at, closed_at=call.now))
