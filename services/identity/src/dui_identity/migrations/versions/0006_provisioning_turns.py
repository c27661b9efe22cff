"""Associations take turns at the identity provider, and what is urgent comes before answers to invitations."""

from __future__ import annotations

from alembic import op
from dui_kit.db.schema import roles

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# It tells ids and a kind only, runs as the owner, whose policy sees every row, and takes the place of due_tenants, which
# stays for as long as a worker of the version before may run.
_DUE_WORK = """
CREATE FUNCTION due_work(at timestamptz) RETURNS TABLE (tenant uuid, is_answer boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
SELECT DISTINCT tenant_id, kind = 5 FROM public.provisioning_task WHERE due_at <= at
$$
"""


def upgrade() -> None:
    """The index of what is due serves it, as it served the one before."""
    _, app, _ = roles(op)
    op.execute(_DUE_WORK)
    op.execute("REVOKE EXECUTE ON FUNCTION due_work FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION due_work TO {app}")
