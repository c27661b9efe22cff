"""Tables of the journal, for the first migration of identity."""

from __future__ import annotations

from dui_kit.db.schema import Operations, protect, roles

_TABLES = """
CREATE TABLE journal_entry (
    tenant_id uuid NOT NULL,
    appended_at timestamptz NOT NULL,
    chain_index bigint NOT NULL,
    service text NOT NULL,
    sequence bigint NOT NULL,
    account_id uuid,
    denied boolean NOT NULL,
    break_glass boolean NOT NULL,
    content bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT journal_entry_pkey PRIMARY KEY (tenant_id, appended_at, chain_index)
) PARTITION BY RANGE (appended_at);
CREATE INDEX journal_entry_account_id_idx ON journal_entry (tenant_id, account_id, appended_at, chain_index);
CREATE INDEX journal_entry_denied_idx ON journal_entry (tenant_id, appended_at, chain_index) WHERE denied;
CREATE INDEX journal_entry_break_glass_idx ON journal_entry (tenant_id, appended_at, chain_index) WHERE break_glass;

CREATE TABLE journal_subject (
    tenant_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    appended_at timestamptz NOT NULL,
    chain_index bigint NOT NULL,
    CONSTRAINT journal_subject_pkey PRIMARY KEY (tenant_id, beneficiary_id, appended_at, chain_index)
) PARTITION BY RANGE (appended_at);

CREATE TABLE journal_head (
    tenant_id uuid NOT NULL,
    chain_index bigint NOT NULL,
    hash bytea NOT NULL,
    appended_at timestamptz NOT NULL,
    CONSTRAINT journal_head_pkey PRIMARY KEY (tenant_id)
);

CREATE TABLE journal_source (
    tenant_id uuid NOT NULL,
    service text NOT NULL,
    last_sequence bigint NOT NULL,
    last_entry_id uuid NOT NULL,
    CONSTRAINT journal_source_pkey PRIMARY KEY (tenant_id, service)
);

CREATE TABLE journal_signed_head (
    tenant_id uuid NOT NULL,
    head_index bigint NOT NULL,
    chain_index bigint NOT NULL,
    payload text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT journal_signed_head_pkey PRIMARY KEY (tenant_id, head_index)
);
"""

# Partitions are tables: only their owner may make them. The app role may call this function and nothing more; the dates
# that it may name are bounded. Attaching takes a weaker lock than CREATE TABLE … PARTITION OF: reads go on.
_PARTITIONS = """
CREATE FUNCTION journal_create_partitions(first date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    month date;
    parent text;
    child text;
    made integer := 0;
BEGIN
    IF first NOT BETWEEN current_date - 400 AND current_date + 400 THEN
        RAISE EXCEPTION 'no partition of the journal is made that far from today';
    END IF;
    PERFORM pg_advisory_xact_lock(7315002);
    FOR ahead IN 0..2 LOOP
        month := date_trunc('month', first) + make_interval(months => ahead);
        FOREACH parent IN ARRAY ARRAY['journal_entry', 'journal_subject'] LOOP
            child := parent || to_char(month, '_YYYY_MM');
            IF to_regclass('public.' || child) IS NULL THEN
                made := made + 1;
                EXECUTE format('CREATE TABLE %I (LIKE %I)', child, parent);
                EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', child);
                EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', child);
                EXECUTE format('CREATE POLICY %I ON %I TO CURRENT_USER USING (true) WITH CHECK (true)',
                               child || '_owner', child);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                               month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00');
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$
"""


def create_journal_tables(op: Operations) -> None:
    """The journal of identity. The app role appends and reads; only the heads, which entries outgrow, may it update."""
    _, app, _ = roles(op)
    op.execute(_TABLES)
    protect(op, "journal_entry", app="SELECT, INSERT")
    protect(op, "journal_subject", app="SELECT, INSERT")
    protect(op, "journal_head", app="SELECT, INSERT, UPDATE")
    protect(op, "journal_source", app="SELECT, INSERT, UPDATE")
    protect(op, "journal_signed_head", app="SELECT, INSERT")
    op.execute(_PARTITIONS)
    op.execute("REVOKE ALL ON FUNCTION journal_create_partitions(date) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION journal_create_partitions(date) TO {app}")
    op.execute("SELECT journal_create_partitions(current_date)")
