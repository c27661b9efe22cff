"""The heart of records: identity, admissions, stays, entries, drafts."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import create_kit_tables_1, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_VERSION = """
    version integer NOT NULL,
    author_account_id uuid,
    recorded_at timestamptz NOT NULL"""

_BENEFICIARY = f"""
CREATE TABLE beneficiary (
    tenant_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    birth_name text NOT NULL,
    birth_given_names text[] NOT NULL,
    birth_date text COLLATE "C" NOT NULL,
    sex smallint NOT NULL,
    birth_place_code text,
    used_name text,
    used_given_name text,
    national_identifier text COLLATE "C",
    national_identifier_oid text,
    identity_status smallint NOT NULL,
    insi_answer_id uuid,
    insi_code text GENERATED ALWAYS AS (CASE WHEN insi_answer_id IS NOT NULL THEN '00' END) STORED,
    doubtful boolean NOT NULL,
    fictitious boolean NOT NULL,
    died_on date,
    reason text,
    birth_name_key text COLLATE "C" NOT NULL,
    birth_given_key text COLLATE "C" NOT NULL,
    birth_name_sound text COLLATE "C" NOT NULL,
    family_key text COLLATE "C" NOT NULL,
    given_key text COLLATE "C" NOT NULL,
    family_sound text COLLATE "C" NOT NULL,
    homonym_key text COLLATE "C" NOT NULL,
    merged_into_id uuid,
    surviving_id uuid,
    person_version integer NOT NULL,
    opened_facility_id uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    opening_closed_at timestamptz,
    CONSTRAINT beneficiary_pkey PRIMARY KEY (tenant_id, beneficiary_id),
    CONSTRAINT beneficiary_evidence_check CHECK (identity_status IN (1, 3) OR insi_answer_id IS NOT NULL),
    CONSTRAINT beneficiary_trust_check CHECK (identity_status = 1 OR NOT (doubtful OR fictitious)),
    CONSTRAINT beneficiary_identifier_check CHECK ((national_identifier IS NULL) = (national_identifier_oid IS NULL)),
    CONSTRAINT beneficiary_merged_check CHECK (
        (merged_into_id IS NULL) = (surviving_id IS NULL)
        AND surviving_id IS DISTINCT FROM beneficiary_id AND merged_into_id IS DISTINCT FROM beneficiary_id
    ),
    CONSTRAINT beneficiary_surviving_id_fkey FOREIGN KEY (tenant_id, surviving_id) REFERENCES beneficiary,
    CONSTRAINT beneficiary_merged_into_id_fkey FOREIGN KEY (tenant_id, merged_into_id) REFERENCES beneficiary
);
CREATE INDEX beneficiary_search_idx ON beneficiary (tenant_id, birth_date, birth_name_key, beneficiary_id);
CREATE INDEX beneficiary_names_idx ON beneficiary (tenant_id, birth_name_key, birth_given_key);
CREATE INDEX beneficiary_homonym_idx ON beneficiary (tenant_id, homonym_key);
CREATE INDEX beneficiary_identifier_idx ON beneficiary (tenant_id, national_identifier)
    WHERE national_identifier IS NOT NULL;
CREATE INDEX beneficiary_surviving_idx ON beneficiary (tenant_id, surviving_id) WHERE surviving_id IS NOT NULL;

CREATE TABLE identity_check (
    tenant_id uuid NOT NULL,
    identity_check_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    document smallint NOT NULL,
    checked_at timestamptz NOT NULL,
    identity_version integer NOT NULL,
    author_account_id uuid,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT identity_check_pkey PRIMARY KEY (tenant_id, identity_check_id),
    CONSTRAINT identity_check_beneficiary_id_fkey FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary
);
CREATE INDEX identity_check_beneficiary_id_idx ON identity_check (tenant_id, beneficiary_id);

CREATE TABLE insi_answer (
    tenant_id uuid NOT NULL,
    insi_answer_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    code text NOT NULL,
    reference text NOT NULL,
    identity jsonb,
    answered_at timestamptz NOT NULL,
    author_account_id uuid,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT insi_answer_pkey PRIMARY KEY (tenant_id, insi_answer_id),
    CONSTRAINT insi_answer_code_check CHECK (code IN ('00', '01', '02')),
    CONSTRAINT insi_answer_identity_check CHECK ((code = '00') = (identity IS NOT NULL)),
    CONSTRAINT insi_answer_evidence_key UNIQUE (tenant_id, beneficiary_id, insi_answer_id, code),
    CONSTRAINT insi_answer_beneficiary_id_fkey FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary
);
CREATE INDEX insi_answer_beneficiary_id_idx ON insi_answer (tenant_id, beneficiary_id);
-- The evidence of RECUPEREE and QUALIFIEE is an answer about this very record that found one identity.
ALTER TABLE beneficiary ADD CONSTRAINT beneficiary_insi_answer_id_fkey
    FOREIGN KEY (tenant_id, beneficiary_id, insi_answer_id, insi_code)
    REFERENCES insi_answer (tenant_id, beneficiary_id, insi_answer_id, code);

CREATE TABLE beneficiary_merge (
    tenant_id uuid NOT NULL,
    merge_id uuid NOT NULL,
    kind text NOT NULL,
    surviving_id uuid NOT NULL,
    merged_id uuid NOT NULL,
    moved_ids uuid[] NOT NULL,
    reason text NOT NULL,
    author_account_id uuid,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT beneficiary_merge_pkey PRIMARY KEY (tenant_id, merge_id),
    CONSTRAINT beneficiary_merge_kind_check CHECK (kind IN ('merge', 'unmerge'))
);
CREATE INDEX beneficiary_merge_surviving_id_idx ON beneficiary_merge (tenant_id, surviving_id);
CREATE INDEX beneficiary_merge_merged_id_idx ON beneficiary_merge (tenant_id, merged_id);
"""

_STAYS = f"""
CREATE TABLE admission (
    tenant_id uuid NOT NULL,
    admission_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    facility_id uuid NOT NULL,
    modality smallint NOT NULL,
    requested_on date NOT NULL,
    wished_entry_on date,
    origin text,
    status smallint NOT NULL,
    decision_reason text,
    decided_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT admission_pkey PRIMARY KEY (tenant_id, admission_id),
    CONSTRAINT admission_beneficiary_id_fkey FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary
);
CREATE INDEX admission_beneficiary_id_idx ON admission (tenant_id, beneficiary_id, admission_id);
CREATE INDEX admission_waiting_idx ON admission (tenant_id, facility_id, requested_on, admission_id)
    WHERE status IN (1, 2);
CREATE UNIQUE INDEX admission_open_key ON admission (tenant_id, beneficiary_id, facility_id, modality)
    WHERE status IN (1, 2);

CREATE TABLE stay (
    tenant_id uuid NOT NULL,
    stay_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    admission_id uuid NOT NULL,
    facility_id uuid NOT NULL,
    modality smallint NOT NULL,
    unit_id uuid,
    room text,
    started_on date NOT NULL,
    expected_end_on date,
    ended_on date,
    exit_reason smallint NOT NULL,
    created_at timestamptz NOT NULL,
    -- 7: entered by mistake, a stay that never was.
    period daterange NOT NULL GENERATED ALWAYS AS (
        CASE WHEN exit_reason = 7 THEN 'empty'::daterange ELSE daterange(started_on, ended_on, '[]') END) STORED,
    last_on date NOT NULL GENERATED ALWAYS AS (
        CASE WHEN exit_reason = 7 THEN '0001-01-01'::date ELSE COALESCE(ended_on, '9999-12-31'::date) END) STORED,
    CONSTRAINT stay_pkey PRIMARY KEY (tenant_id, stay_id),
    CONSTRAINT stay_period_check CHECK (ended_on >= started_on),
    CONSTRAINT stay_exit_check CHECK ((ended_on IS NULL) = (exit_reason = 0)),
    CONSTRAINT stay_beneficiary_id_fkey FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary,
    CONSTRAINT stay_admission_id_fkey FOREIGN KEY (tenant_id, admission_id) REFERENCES admission,
    CONSTRAINT stay_facility_overlap
        EXCLUDE USING gist (tenant_id WITH =, beneficiary_id WITH =, facility_id WITH =, period WITH &&),
    CONSTRAINT stay_residential_overlap
        EXCLUDE USING gist (tenant_id WITH =, beneficiary_id WITH =, period WITH &&) WHERE (modality = 1)
);
CREATE INDEX stay_beneficiary_id_idx ON stay (tenant_id, beneficiary_id, started_on, stay_id);
CREATE INDEX stay_present_idx ON stay (tenant_id, facility_id, last_on);
CREATE UNIQUE INDEX stay_admission_key ON stay (tenant_id, admission_id) WHERE exit_reason <> 7;
"""


def _entry(name: str, content: str) -> str:
    return f"""
CREATE TABLE {name} (
    tenant_id uuid NOT NULL,
    {name}_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,{_VERSION},
    created_at timestamptz NOT NULL,
    reason text,
    {content},
    CONSTRAINT {name}_pkey PRIMARY KEY (tenant_id, {name}_id),
    CONSTRAINT {name}_beneficiary_id_fkey FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary
);
CREATE INDEX {name}_beneficiary_id_idx ON {name} (tenant_id, beneficiary_id, {name}_id);
"""


_ENTRIES = (
    _entry(
        "relation",
        """family_name text NOT NULL,
    given_name text,
    kind smallint NOT NULL,
    legal_role smallint NOT NULL,
    trusted_person boolean NOT NULL,
    phone text,
    email text,
    address text,
    call_order smallint,
    ended_on date""",
    )
    + """
CREATE UNIQUE INDEX relation_trusted_person_key ON relation (tenant_id, beneficiary_id)
    WHERE trusted_person AND ended_on IS NULL;
"""
    + _entry(
        "allergy",
        """kind smallint NOT NULL,
    substance text NOT NULL,
    reaction text,
    severity smallint NOT NULL,
    status smallint NOT NULL,
    noticed_on text""",
    )
    + _entry(
        "medical_event",
        """kind smallint NOT NULL,
    label text NOT NULL,
    icd10_code text,
    started_on text,
    ended_on text,
    comment text""",
    )
    + _entry(
        "handover_note",
        """category smallint NOT NULL,
    subject text NOT NULL,
    data text NOT NULL,
    action text,
    result text,
    priority smallint NOT NULL,
    observed_at timestamptz NOT NULL""",
    )
    + """
CREATE TABLE draft (
    tenant_id uuid NOT NULL,
    draft_id uuid NOT NULL,
    beneficiary_id uuid NOT NULL,
    author_account_id uuid NOT NULL,
    kind text NOT NULL,
    content bytea NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT draft_pkey PRIMARY KEY (tenant_id, draft_id),
    CONSTRAINT draft_beneficiary_id_fkey FOREIGN KEY (tenant_id, beneficiary_id) REFERENCES beneficiary
);
CREATE INDEX draft_author_idx ON draft (tenant_id, beneficiary_id, author_account_id, draft_id);
CREATE INDEX draft_expires_at_idx ON draft (tenant_id, expires_at);
"""
)

#: What the app role may do. Evidence and the history of merges are append-only; only drafts are ever deleted.
_RIGHTS = {
    "beneficiary": "SELECT, INSERT, UPDATE",
    "identity_check": "SELECT, INSERT",
    "insi_answer": "SELECT, INSERT",
    "beneficiary_merge": "SELECT, INSERT",
    "admission": "SELECT, INSERT, UPDATE",
    "stay": "SELECT, INSERT, UPDATE",
    "relation": "SELECT, INSERT, UPDATE",
    "allergy": "SELECT, INSERT, UPDATE",
    "medical_event": "SELECT, INSERT, UPDATE",
    "handover_note": "SELECT, INSERT, UPDATE",
    "draft": "SELECT, INSERT, UPDATE, DELETE",
}


def upgrade() -> None:
    """Creates everything."""
    create_kit_tables_1(op)
    # A trusted extension: the owner of the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.execute(_BENEFICIARY)
    op.execute(_STAYS)
    op.execute(_ENTRIES)
    for table, rights in _RIGHTS.items():
        protect(op, table, app=rights)
