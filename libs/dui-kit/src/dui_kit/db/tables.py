"""Tables that every service has, and the base of its own.

Every table of personal data carries `tenant_id`, in its primary key and in every foreign key (foreign-key checks bypass
row-level security). `dui_kit.db.schema.protect` puts the policies on them; `tests/architecture` refuses a table without.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase

from dui_kit.db.columns import id_column, instant_column

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}


class Base(DeclarativeBase):
    """Base of the declarative models of a service."""

    metadata = MetaData(naming_convention=NAMING)


_meta = Base.metadata

#: Events to publish. A row is published once its `published_at` is set; it stays 7 days so that it can be sent again.
#: `position` is not commit order, but it is the order within one aggregate, whose row is locked while it is given.
outbox = Table(
    "outbox",
    _meta,
    id_column("event_id", key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    id_column("tenant_id"),
    Column("subject", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("aggregate_id", Text, nullable=False),
    Column("aggregate_version", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("traceparent", Text),
    instant_column("created_at", made=True),
    instant_column("published_at", null=True),
    Index("outbox_pending_idx", "position", postgresql_where=text("published_at IS NULL")),
)

#: Journal entries to hand to identity. `sequence` is given by the relay, without gaps for each tenant.
journal_outbox = Table(
    "journal_outbox",
    _meta,
    id_column("entry_id", key=True),
    id_column("tenant_id"),
    Column("payload", LargeBinary, nullable=False),
    Column("sequence", BigInteger),
    instant_column("created_at", made=True),
    Index("journal_outbox_unnumbered_idx", "entry_id", postgresql_where=text("sequence IS NULL")),
    Index("journal_outbox_sequence_idx", "tenant_id", "sequence", postgresql_where=text("sequence IS NOT NULL")),
)

#: Last number given, and last number acknowledged by JetStream with the entry under it, of each tenant's journal here.
journal_counter = Table(
    "journal_counter",
    _meta,
    id_column("tenant_id", key=True),
    Column("last_sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("published_sequence", BigInteger, nullable=False, server_default=text("0")),
    id_column("published_entry_id", null=True),
)

#: What the keeper of the chain said last of an association: `services` is a JSON object, service → [last number, entry id].
journal_reached = Table(
    "journal_reached",
    _meta,
    id_column("tenant_id", key=True),
    instant_column("sent_at"),
    instant_column("settled_at", null=True),
    Column("services", Text, nullable=False),
)

#: Events already applied, by consumer: a redelivery is a no-op.
inbox = Table(
    "inbox",
    _meta,
    Column("consumer", Text, primary_key=True),
    id_column("event_id", key=True),
    id_column("tenant_id"),
    instant_column("received_at", made=True),
    Index("inbox_received_at_idx", "received_at"),
)

#: Outcome of a call with an Idempotency-Key, kept 48 hours.
idempotency = Table(
    "idempotency",
    _meta,
    id_column("tenant_id", key=True),
    Column("subject", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    instant_column("created_at", made=True),
    Index("idempotency_created_at_idx", "created_at"),
)

#: Every version of every versioned entry, append-only: the app role can neither change nor delete one.
entry_version = Table(
    "entry_version",
    _meta,
    id_column("tenant_id", key=True),
    id_column("entry_id", key=True),
    Column("version", Integer, primary_key=True),
    Column("entry_type", Text, nullable=False),
    id_column("beneficiary_id", null=True),
    id_column("author_account_id", null=True),
    instant_column("recorded_at"),
    Column("content", LargeBinary, nullable=False),
    Index("entry_version_beneficiary_id_idx", "tenant_id", "beneficiary_id"),
)

access_tenant = Table(
    "access_tenant",
    _meta,
    id_column("tenant_id", key=True),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

#: When each owner of facts was last heard.
access_heartbeat = Table(
    "access_heartbeat",
    _meta,
    id_column("tenant_id", key=True),
    Column("source", Text, primary_key=True),
    instant_column("sent_at"),
)

access_account = Table(
    "access_account",
    _meta,
    id_column("tenant_id", key=True),
    id_column("account_id", key=True),
    Column("subject", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    instant_column("sessions_revoked_at", null=True),
    Column("version", Integer, nullable=False),
    Index("access_account_subject_idx", "tenant_id", "subject"),
)

access_assignment = Table(
    "access_assignment",
    _meta,
    id_column("tenant_id", key=True),
    id_column("assignment_id", key=True),
    id_column("account_id"),
    id_column("facility_id", null=True),
    id_column("unit_id", null=True),
    Column("profession", SmallInteger, nullable=False),
    instant_column("valid_from"),
    instant_column("valid_to", null=True),
    Column("version", Integer, nullable=False),
    Index("access_assignment_account_id_idx", "tenant_id", "account_id"),
)

#: `rights[category]` is a bit set of actions (bit n = action n); the array starts at category 1.
access_policy = Table(
    "access_policy",
    _meta,
    id_column("tenant_id", key=True),
    Column("profession", SmallInteger, primary_key=True),
    Column("rights", ARRAY(SmallInteger), nullable=False),
    Column("version", Integer, nullable=False),
)

access_break_glass = Table(
    "access_break_glass",
    _meta,
    id_column("tenant_id", key=True),
    id_column("break_glass_id", key=True),
    id_column("account_id"),
    id_column("beneficiary_id"),
    instant_column("valid_from"),
    instant_column("valid_to"),
    Column("version", Integer, nullable=False),
    Index("access_break_glass_beneficiary_id_idx", "tenant_id", "beneficiary_id", "account_id"),
    Index("access_break_glass_account_id_idx", "tenant_id", "account_id"),
)

#: The records that exist; `surviving_id` is set on a record merged into another one.
access_person = Table(
    "access_person",
    _meta,
    id_column("tenant_id", key=True),
    id_column("beneficiary_id", key=True),
    id_column("surviving_id", null=True),
    Column("version", Integer, nullable=False),
    Index(
        "access_person_surviving_id_idx",
        "tenant_id",
        "surviving_id",
        postgresql_where=text("surviving_id IS NOT NULL"),
    ),
)

access_perimeter = Table(
    "access_perimeter",
    _meta,
    id_column("tenant_id", key=True),
    id_column("fact_id", key=True),
    id_column("beneficiary_id"),
    id_column("facility_id"),
    id_column("unit_id", null=True),
    Column("admission_only", Boolean, nullable=False),
    instant_column("valid_from"),
    instant_column("valid_to", null=True),
    Column("version", Integer, nullable=False),
    Index("access_perimeter_beneficiary_id_idx", "tenant_id", "beneficiary_id"),
    Index("access_perimeter_facility_id_idx", "tenant_id", "facility_id", "beneficiary_id"),
)

#: The facilities of the association: what exists, its FINESS category and its calendar.
access_facility = Table(
    "access_facility",
    _meta,
    id_column("tenant_id", key=True),
    id_column("facility_id", key=True),
    Column("category_code", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("version", Integer, nullable=False),
)

access_unit = Table(
    "access_unit",
    _meta,
    id_column("tenant_id", key=True),
    id_column("unit_id", key=True),
    id_column("facility_id"),
    Column("version", Integer, nullable=False),
)
