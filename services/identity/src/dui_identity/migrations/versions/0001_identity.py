"""Associations, staff, accounts, assignments, policy, break-glass access, and the queue to the identity provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from dui_kit.db.schema import create_kit_tables_1, protect, roles
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from dui_identity.journal.schema import create_journal_tables

revision = "0001"
down_revision = None

_WHOLE = "'00000000-0000-0000-0000-000000000000'::uuid"
_ENDED = 4


def _id(name: str, *, key: bool = False, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, UUID(as_uuid=False), primary_key=key, nullable=null)


def _at(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _text(name: str, *, null: bool = False, sorts: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C" if sorts else None), nullable=null)


def _small(name: str, *, key: bool = False, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger, primary_key=key, autoincrement=False, nullable=null)


def _version(*, key: bool = False) -> sa.Column[int]:
    return sa.Column("version", sa.Integer, primary_key=key, autoincrement=False, nullable=False)


def upgrade() -> None:
    """Creates everything."""
    # Trusted: the owner of a database may add it (assignments that do not overlap).
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    create_kit_tables_1(op)
    _organisation()
    _staff()
    _policy()
    _break_glass()
    _provisioning()
    _functions()
    create_journal_tables(op)


def _organisation() -> None:
    op.create_table(
        "association",
        _id("tenant_id", key=True),
        _text("slug"),
        _text("name"),
        _text("finess_ej", null=True),
        _text("siren", null=True),
        sa.Column("active", sa.Boolean, nullable=False),
        _version(),
        _text("organization_id", null=True),
        _id("administrator_account_id", null=True),
        sa.UniqueConstraint("slug", name="association_slug_key"),
    )
    protect(op, "association", app="SELECT, INSERT, UPDATE")
    op.create_table(
        "facility",
        _id("tenant_id", key=True),
        _id("facility_id", key=True),
        _text("name"),
        _text("name_key", sorts=True),
        _text("finess_et"),
        _text("category_code"),
        _text("time_zone"),
        _text("town", null=True),
        _version(),
        sa.UniqueConstraint("tenant_id", "finess_et", name="facility_finess_et_key"),
    )
    protect(op, "facility", app="SELECT, INSERT, UPDATE")
    op.create_table(
        "unit",
        _id("tenant_id", key=True),
        _id("unit_id", key=True),
        _id("facility_id"),
        _text("name"),
        _text("name_key", sorts=True),
        _version(),
        sa.ForeignKeyConstraint(
            ["tenant_id", "facility_id"], ["facility.tenant_id", "facility.facility_id"], name="unit_facility_id_fkey"
        ),
        sa.UniqueConstraint("tenant_id", "facility_id", "name_key", name="unit_name_key"),
        sa.UniqueConstraint("tenant_id", "facility_id", "unit_id", name="unit_facility_key"),
    )
    protect(op, "unit", app="SELECT, INSERT, UPDATE")


def _staff() -> None:
    op.create_table(
        "professional",
        _id("tenant_id", key=True),
        _id("professional_id", key=True),
        _text("family_name"),
        _text("given_name"),
        _text("name_key", sorts=True),
        _small("profession"),
        _text("qualification", null=True),
        _text("rpps", null=True),
        _text("email", null=True),
        _version(),
    )
    for column in ("rpps", "email"):
        op.create_index(
            f"professional_{column}_key",
            "professional",
            ["tenant_id", column],
            unique=True,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index("professional_name_key_idx", "professional", ["tenant_id", "name_key", "professional_id"])
    protect(op, "professional", app="SELECT, INSERT, UPDATE")

    live = sa.text(f"status <> {_ENDED}")
    op.create_table(
        "account",
        _id("tenant_id", key=True),
        _id("account_id", key=True),
        _id("professional_id"),
        _text("login", sorts=True),
        _small("status"),
        _text("subject", null=True),
        _at("sessions_revoked_at", null=True),
        _small("problem"),
        _version(),
        sa.ForeignKeyConstraint(
            ["tenant_id", "professional_id"],
            ["professional.tenant_id", "professional.professional_id"],
            name="account_professional_id_fkey",
        ),
    )
    for name in ("professional_id", "login", "subject"):
        op.create_index(f"account_{name}_key", "account", ["tenant_id", name], unique=True, postgresql_where=live)
    op.create_index("account_login_idx", "account", ["tenant_id", "login", "account_id"])
    op.create_index("account_subject_idx", "account", ["subject"], postgresql_where=sa.text("subject IS NOT NULL"))
    protect(op, "account", app="SELECT, INSERT, UPDATE")

    op.create_table(
        "account_status_change",
        _id("tenant_id", key=True),
        _id("account_id", key=True),
        _version(key=True),
        _small("status"),
        _text("reason", null=True),
        _id("author_account_id", null=True),
        _at("changed_at"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.account_id"],
            name="account_status_change_account_id_fkey",
        ),
    )
    protect(op, "account_status_change", app="SELECT, INSERT")

    op.create_table(
        "assignment",
        _id("tenant_id", key=True),
        _id("assignment_id", key=True),
        _id("account_id"),
        _small("profession"),
        _id("facility_id", null=True),
        _id("unit_id", null=True),
        _at("valid_from"),
        _at("valid_to", null=True),
        _version(),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"], ["account.tenant_id", "account.account_id"], name="assignment_account_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "facility_id"],
            ["facility.tenant_id", "facility.facility_id"],
            name="assignment_facility_id_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "facility_id", "unit_id"],
            ["unit.tenant_id", "unit.facility_id", "unit.unit_id"],
            name="assignment_unit_id_fkey",
        ),
        sa.CheckConstraint("unit_id IS NULL OR facility_id IS NOT NULL", name="place"),
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="period"),
    )
    op.execute(
        "ALTER TABLE assignment ADD CONSTRAINT assignment_overlap_excl EXCLUDE USING gist (tenant_id WITH =,"
        f" account_id WITH =, profession WITH =, coalesce(facility_id, {_WHOLE}) WITH =,"
        f" coalesce(unit_id, {_WHOLE}) WITH =, tstzrange(valid_from, valid_to) WITH &&)"
    )
    op.create_index(
        "assignment_account_id_idx", "assignment", ["tenant_id", "account_id", "valid_from", "assignment_id"]
    )
    op.create_index("assignment_profession_idx", "assignment", ["tenant_id", "profession"])
    protect(op, "assignment", app="SELECT, INSERT, UPDATE")


def _policy() -> None:
    op.create_table(
        "policy_override",
        _id("tenant_id", key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _small("profession"),
        _small("category"),
        sa.Column("actions", ARRAY(sa.SmallInteger)),
        _id("author_account_id"),
        _at("decided_at"),
    )
    op.create_index("policy_override_cell_idx", "policy_override", ["tenant_id", "profession", "category", "sequence"])
    protect(op, "policy_override", app="SELECT, INSERT")
    op.create_table(
        "policy_publication",
        _id("tenant_id", key=True),
        _small("profession", key=True),
        _version(),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )
    protect(op, "policy_publication", app="SELECT, INSERT, UPDATE")


def _break_glass() -> None:
    op.create_table(
        "break_glass",
        _id("tenant_id", key=True),
        _id("break_glass_id", key=True),
        _id("account_id"),
        _id("beneficiary_id"),
        _small("reason"),
        _text("reason_text"),
        _at("valid_from"),
        _at("valid_to"),
        _small("verdict", null=True),
        _id("reviewer_account_id", null=True),
        _at("reviewed_at", null=True),
        _text("review_comment", null=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.account_id"],
            name="break_glass_account_id_fkey",
        ),
        sa.CheckConstraint(
            "(verdict IS NULL) = (reviewed_at IS NULL) AND (verdict IS NULL) = (reviewer_account_id IS NULL)",
            name="review",
        ),
        sa.CheckConstraint("reviewer_account_id <> account_id", name="reviewer"),
    )
    op.create_index("break_glass_valid_from_idx", "break_glass", ["tenant_id", "valid_from", "break_glass_id"])
    op.create_index(
        "break_glass_pending_idx",
        "break_glass",
        ["tenant_id", "valid_from", "break_glass_id"],
        postgresql_where=sa.text("verdict IS NULL"),
    )
    op.create_index("break_glass_account_id_idx", "break_glass", ["tenant_id", "account_id", "valid_to"])
    # What was said when the glass was broken is never changed: only the review is written afterwards.
    protect(
        op,
        "break_glass",
        app="SELECT, INSERT, UPDATE (verdict, reviewer_account_id, reviewed_at, review_comment)",
    )


def _provisioning() -> None:
    op.create_table(
        "provisioning_task",
        _id("tenant_id", key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _id("account_id", null=True),
        _small("kind"),
        sa.Column("password_nonce", sa.LargeBinary),
        sa.Column("attempts", sa.Integer, nullable=False),
        _small("problem"),
        _at("due_at"),
        _at("created_at"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_id"],
            ["account.tenant_id", "account.account_id"],
            name="provisioning_task_account_id_fkey",
        ),
    )
    op.create_index("provisioning_task_due_at_idx", "provisioning_task", ["due_at"])
    op.create_index("provisioning_task_account_id_idx", "provisioning_task", ["tenant_id", "account_id", "sequence"])
    protect(op, "provisioning_task", app="SELECT, INSERT, UPDATE, DELETE")


def _functions() -> None:
    """The four questions that cross associations. Each answers ids or a number only, to the app role only.

    They run as the owner, whose policy sees every row; `search_path` is fixed so that nobody slips a table under them.
    """
    _, app, _ = roles(op)
    functions = {
        # Every association, for jobs.
        "all_tenants()": ("SETOF uuid", "SELECT tenant_id FROM public.association ORDER BY tenant_id"),
        # The association of a slug: opening one twice is opening it once.
        "tenant_of_slug(wanted text)": ("uuid", "SELECT tenant_id FROM public.association WHERE slug = wanted"),
        # The associations for which something is due at the identity provider.
        "due_tenants(at timestamptz)": (
            "SETOF uuid",
            "SELECT DISTINCT tenant_id FROM public.provisioning_task WHERE due_at <= at",
        ),
        # What one person has in other associations: 2 an active account, 1 another one that is not ended, 0 nothing.
        "subject_elsewhere(wanted text, here uuid)": (
            "int",
            """SELECT coalesce(max(CASE status WHEN 2 THEN 2 ELSE 1 END), 0) FROM public.account
               WHERE subject = wanted AND tenant_id <> here AND status <> 4""",
        ),
    }
    for signature, (answer, body) in functions.items():
        op.execute(
            f"CREATE FUNCTION {signature} RETURNS {answer} LANGUAGE sql STABLE SECURITY DEFINER"
            f" SET search_path = pg_catalog, pg_temp AS $$ {body} $$"
        )
        name = signature.split("(", maxsplit=1)[0]
        op.execute(f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO {app}")
