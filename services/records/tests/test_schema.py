"""What the service may not change of what it wrote."""

from __future__ import annotations

import psycopg
from dui_kit.db import migrate
from dui_kit.testing import Harness, create_database
from dui_records.recognition.rules import name_keys


def test_evidence_and_history_are_append_only_for_the_service(harness: Harness) -> None:
    app = harness.database.app_url.split("//")[1].split(":")[0]
    for table in ("insi_answer", "identity_check", "beneficiary_merge", "entry_version"):
        [(update, delete)] = harness.admin(
            "SELECT has_table_privilege(%s, %s, 'UPDATE'), has_table_privilege(%s, %s, 'DELETE')",
            (app, table, app, table),
        )
        assert (update, delete) == (False, False), table


def test_names_without_a_latin_letter_that_are_there_get_the_sound_that_new_ones_have(postgres: str) -> None:
    """Records of several associations, as they were written before migration 0005; names: birth name and name in use."""
    database = create_database(postgres, "records")
    migrate.upgrade("dui_records.migrations", database.owner_url, "0004")
    names = [("Шевченко", "Шевченко"), ("李", "Durand"), ("Durand", "حسن"), ("Le Goff", "Le Goff")]
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for birth_name, used_name in names:
            keys = name_keys(birth_name, "Camille", used_name, None)
            before = [code if code.isascii() else "" for code in (keys.birth_name_sound, keys.family_sound)]
            admin.execute(
                "INSERT INTO beneficiary (tenant_id, beneficiary_id, version, recorded_at, birth_name, birth_given_names,"
                " birth_date, sex, used_name, identity_status, doubtful, fictitious, birth_name_key, birth_given_key,"
                " birth_name_sound, family_key, given_key, family_sound, homonym_key, person_version, opened_facility_id,"
                " opened_at) VALUES (uuidv7(), uuidv7(), 1, now(), %s, '{Camille}', '1950', 2, %s, 1, false, false, %s,"
                " 'CAMILLE', %s, %s, 'CAMILLE', %s, %s, 1, uuidv7(), now())",
                (birth_name, used_name, keys.birth_name_key, before[0], keys.family_key, before[1], keys.homonym_key),
            )
        migrate.upgrade("dui_records.migrations", database.owner_url, "0005")
        rows = admin.execute(
            "SELECT birth_name_sound, family_sound FROM beneficiary ORDER BY beneficiary_id"
        ).fetchall()
    assert rows == [("ШЕВЧЕНКО", "ШЕВЧЕНКО"), ("李", "D653"), ("D653", "حسن"), ("L210", "L210")]
