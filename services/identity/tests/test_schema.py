"""The doors between associations are the five we know."""

from __future__ import annotations

from dui_identity.testing import Association, open_association
from dui_kit.db.migrate import revision_of
from dui_kit.testing import Harness
from sqlalchemy import text


def test_only_five_functions_cross_associations_and_only_the_service_may_call_them(harness: Harness) -> None:
    found = harness.admin(
        "SELECT p.proname, p.proconfig[1], array_agg(a.grantee::regrole::text ORDER BY 1) FROM pg_proc AS p,"
        " aclexplode(p.proacl) AS a WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace"
        " AND a.grantee <> p.proowner GROUP BY 1, 2 ORDER BY 1"
    )
    app = harness.database.app_url.split("//")[1].split(":")[0]
    path = "search_path=pg_catalog, pg_temp"
    names = ("all_tenants", "due_tenants", "due_work", "subject_elsewhere", "tenant_of_slug")
    expected = [(name, path, [app]) for name in names]
    assert [row for row in found if not row[0].startswith("journal_")] == expected


def test_they_tell_ids_and_numbers_only_and_not_of_the_association_that_asks(
    harness: Harness, association: Association
) -> None:
    other = open_association(harness)
    with harness.engine.connect() as connection:
        here = {"subject": association.administrator, "tenant": association.tenant_id}
        ask = text("SELECT subject_elsewhere(:subject, :tenant)")
        assert connection.execute(ask, here).scalar_one() == 0
        assert connection.execute(ask, here | {"tenant": other.tenant_id}).scalar_one() == 2
        # Without a tenant the tables themselves show nothing.
        assert connection.execute(text("SELECT count(*) FROM account")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM association")).scalar_one() == 0


def test_the_service_itself_can_tell_whether_its_schema_is_the_expected_one(harness: Harness) -> None:
    found, expected = revision_of("dui_identity.migrations", harness.database.app_url)
    assert expected is not None
    assert found == expected
