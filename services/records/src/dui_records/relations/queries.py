"""Who is designated beside a relation."""

from __future__ import annotations

from dui_kit.calls.call import Call
from dui_kit.db.statements import Query
from dui_kit.errors import Refusal
from sqlalchemy import any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_records.beneficiaries.queries import lock_group
from dui_records.relations.rules import TRUSTED_PERSON_EXISTS
from dui_records.relations.tables import TRUSTED, relation

_r = relation.c
_TRUSTED = Query(
    select(_r.relation_id)
    .where(
        _r.tenant_id == bindparam("tenant"),
        _r.beneficiary_id == any_(bindparam("persons", type_=ARRAY(UUID(as_uuid=False)))),
        TRUSTED,
    )
    .limit(1)
)


def check_nobody_trusted(call: Call) -> None:
    """Refuses a designation while another one is in force in any record of the person; until the commit nobody else designates.

    The database refuses the same for one record (relation_trusted_person_key). A correction has locked its entry before: nobody
    locks an entry while holding a person.
    """
    lock_group(call)
    if call.row(_TRUSTED, persons=list(call.beneficiary_ids)) is not None:
        raise Refusal(TRUSTED_PERSON_EXISTS, field="relation.trusted_person")
