"""Tables of the identity of the persons accompanied."""

from __future__ import annotations

from dui_kit.db.columns import id_column, instant_column, key_column, version_columns
from dui_kit.db.tables import Base
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Date,
    ForeignKeyConstraint,
    FromClause,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    case,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from dui_records.beneficiaries.rules import IdentityStatus
from dui_records.columns import of_person

#: One row for each record. `birth_date` is as civil status left it, possibly partial.
#:
#: A merged record keeps its row: `merged_into_id` is the record that it was merged into, `surviving_id` the one that
#: answers for both now (the end of the chain of `merged_into_id`, so that nobody ever follows a chain).
beneficiary = Table(
    "beneficiary",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("beneficiary_id", key=True),
    *version_columns(),
    Column("birth_name", Text, nullable=False),
    Column("birth_given_names", ARRAY(Text), nullable=False),
    key_column("birth_date"),
    Column("sex", SmallInteger, nullable=False),
    Column("birth_place_code", Text),
    Column("used_name", Text),
    Column("used_given_name", Text),
    key_column("national_identifier", null=True),
    Column("national_identifier_oid", Text),
    Column("identity_status", SmallInteger, nullable=False),
    #: The INSi answer that RECUPEREE and QUALIFIEE rest on.
    id_column("insi_answer_id", null=True),
    #: With it, the foreign key asks for an answer that found one identity (00).
    Column("insi_code", Text, Computed("CASE WHEN insi_answer_id IS NOT NULL THEN '00' END", persisted=True)),
    Column("doubtful", Boolean, nullable=False),
    Column("fictitious", Boolean, nullable=False),
    Column("died_on", Date),
    Column("reason", Text),
    # Derived from the names by recognition.rules.name_keys.
    key_column("birth_name_key"),
    key_column("birth_given_key"),
    key_column("birth_name_sound"),
    key_column("family_key"),
    key_column("given_key"),
    key_column("family_sound"),
    key_column("homonym_key"),
    # Merging.
    id_column("merged_into_id", null=True),
    id_column("surviving_id", null=True),
    Column("person_version", Integer, nullable=False),
    # The facility that opened the record, when, and when its stay took over.
    id_column("opened_facility_id"),
    instant_column("opened_at"),
    instant_column("opening_closed_at", null=True),
    CheckConstraint(
        f"identity_status IN ({IdentityStatus.PROVISOIRE.value}, {IdentityStatus.VALIDEE.value})"
        " OR insi_answer_id IS NOT NULL",
        name="evidence",
    ),
    CheckConstraint(
        f"identity_status = {IdentityStatus.PROVISOIRE.value} OR NOT (doubtful OR fictitious)", name="trust"
    ),
    CheckConstraint("(national_identifier IS NULL) = (national_identifier_oid IS NULL)", name="identifier"),
    CheckConstraint(
        "(merged_into_id IS NULL) = (surviving_id IS NULL) "
        "AND surviving_id IS DISTINCT FROM beneficiary_id AND merged_into_id IS DISTINCT FROM beneficiary_id",
        name="merged",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "surviving_id"],
        ["beneficiary.tenant_id", "beneficiary.beneficiary_id"],
        name="beneficiary_surviving_id_fkey",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "merged_into_id"],
        ["beneficiary.tenant_id", "beneficiary.beneficiary_id"],
        name="beneficiary_merged_into_id_fkey",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "beneficiary_id", "insi_answer_id", "insi_code"],
        ["insi_answer.tenant_id", "insi_answer.beneficiary_id", "insi_answer.insi_answer_id", "insi_answer.code"],
        name="beneficiary_insi_answer_id_fkey",
        use_alter=True,
    ),
    Index("beneficiary_search_idx", "tenant_id", "birth_date", "birth_name_key", "beneficiary_id"),
    Index("beneficiary_names_idx", "tenant_id", "birth_name_key", "birth_given_key"),
    Index("beneficiary_homonym_idx", "tenant_id", "homonym_key"),
    Index(
        "beneficiary_identifier_idx",
        "tenant_id",
        "national_identifier",
        postgresql_where=text("national_identifier IS NOT NULL"),
    ),
    Index("beneficiary_surviving_idx", "tenant_id", "surviving_id", postgresql_where=text("surviving_id IS NOT NULL")),
)

#: Each check of an identity on a document, append-only: what VALIDEE and QUALIFIEE rest on.
identity_check = Table(
    "identity_check",
    Base.metadata,
    id_column("tenant_id", key=True),
    id_column("identity_check_id", key=True),
    id_column("beneficiary_id"),
    Column("document", SmallInteger, nullable=False),
    instant_column("checked_at"),
    Column("identity_version", Integer, nullable=False),
    id_column("author_account_id", null=True),
    instant_column("recorded_at"),
    of_person("identity_check"),
    Index("identity_check_beneficiary_id_idx", "tenant_id", "beneficiary_id"),
)


def answers_for(record: FromClause) -> ColumnElement[str]:
    """The record that answers for one: itself, or the one that it is part of.

    CASE, not COALESCE: PostgreSQL does not take COALESCE for leakproof, so that under row-level security a join on it
    would read every record of the association.
    """
    return case((record.c.surviving_id.is_(None), record.c.beneficiary_id), else_=record.c.surviving_id)
