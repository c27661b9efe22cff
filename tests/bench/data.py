"""What the benchmark works on: 20,000 persons of the demo association, in the databases of every service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from . import treatments

SLUG = "les-tilleuls"
PERSONS = 20_000
#: Persons who have a page of handover notes, and how many.
NOTED, NOTES = 200, 60

_PERSONS = """
INSERT INTO beneficiary (tenant_id, beneficiary_id, version, recorded_at, birth_name, birth_given_names, birth_date, sex,
  identity_status, doubtful, fictitious, birth_name_key, birth_given_key, birth_name_sound, family_key, given_key,
  family_sound, homonym_key, person_version, opened_facility_id, opened_at)
SELECT %(tenant)s, uuidv7(), 1, now(), name, ARRAY[given], born, 1, 1, false, true, name, given, sound, name, given, sound,
  name || '|' || left(given, 3), 1, %(facility)s, now()
FROM (SELECT n, 'BANC' || chr(65 + n %% 26) || chr(65 + n / 26 %% 26) AS name, 'ESSAI' || chr(65 + n %% 17) AS given,
        (%(first)s::date + n)::text AS born, 'B' || (n %% 700)::text AS sound
      FROM generate_series(0, %(persons)s - 1) n) p
RETURNING beneficiary_id::text
"""
_FACTS = (
    "INSERT INTO access_person (tenant_id, beneficiary_id, version) SELECT %(tenant)s, id, 1 FROM unnest(%(ids)s::uuid[]) id",
    """INSERT INTO access_perimeter (tenant_id, fact_id, beneficiary_id, facility_id, admission_only, valid_from, version)
    SELECT %(tenant)s, uuidv7(), id, %(facility)s, false, now() - interval '1 day', 1 FROM unnest(%(ids)s::uuid[]) id""",
)
_NOTES = """
INSERT INTO handover_note (tenant_id, handover_note_id, beneficiary_id, version, recorded_at, created_at, category, subject,
  data, priority, observed_at)
SELECT %(tenant)s, uuidv7(), id, 1, now(), now(), 5, 'Pansement', 'Plaie propre, pas d''écoulement, à revoir.', 0, now()
FROM unnest(%(noted)s::uuid[]) id, generate_series(1, %(notes)s)
"""
#: First of the birth dates: one person on each day from here.
FIRST_BIRTH = date(1930, 1, 1)


@dataclass(frozen=True, slots=True)
class World:
    """What the scenarios draw from."""

    tenant_id: str
    facility_id: str
    persons: list[str]
    noted: list[str]
    #: First three letters of the names of medicines.
    typed: list[str]
    #: CIS of the medicines on the market.
    medicines: list[str]
    #: Persons who have a treatment of eleven lines, and an order that may be added to it.
    treated: list[str]
    order: dict[str, Any]

    @staticmethod
    def birth_date(number: int) -> str:
        """Birth date of one of the persons."""
        return (FIRST_BIRTH + timedelta(days=number % PERSONS)).isoformat()

    @staticmethod
    def name_prefix(_number: int) -> str:
        """First letters of the name of every person."""
        return "BAN"


def load(state: dict[str, Any]) -> World:
    """Loads the persons as superuser, once; a second benchmark on the same stack finds them there."""
    seed = state["seed"].get(SLUG)
    if not seed:
        raise SystemExit("the benchmark works in the demo association: start the stack with its demo data")
    values: dict[str, Any] = {
        "tenant": seed["tenant_id"],
        "facility": seed["facilities"]["fam"],
        "persons": PERSONS,
        "first": FIRST_BIRTH,
        "notes": NOTES,
    }
    with psycopg.connect(state["services"]["records"]["database"]["superuser_url"], autocommit=True) as records:
        query = "SELECT beneficiary_id::text FROM beneficiary WHERE tenant_id = %(tenant)s AND birth_name LIKE 'BANC%%'"
        ids = [row[0] for row in records.execute(query + " ORDER BY birth_date", values)]
        fresh = not ids
        if fresh:
            ids = [row[0] for row in records.execute(_PERSONS, values)]
        values |= {"ids": ids, "noted": ids[:NOTED]}
        if fresh:
            for statement in (*_FACTS, _NOTES):
                records.execute(statement, values)
            records.execute("VACUUM ANALYZE")
            with psycopg.connect(
                state["services"]["identity"]["database"]["superuser_url"], autocommit=True
            ) as identity:
                for statement in _FACTS:
                    identity.execute(statement, values)
                identity.execute("VACUUM ANALYZE")
    with psycopg.connect(state["services"]["medication"]["database"]["superuser_url"], autocommit=True) as medication:
        query = "SELECT DISTINCT left(word, 3) FROM reference.specialty_word WHERE place = 0 AND word ~ '^[A-Z]{3}'"
        typed = [row[0].lower() for row in medication.execute(query + " ORDER BY 1")]
        query = "SELECT cis FROM reference.specialty WHERE last_edition IS NULL AND marketed ORDER BY cis"
        medicines = [row[0] for row in medication.execute(query)]
        if fresh:
            for statement in _FACTS:
                medication.execute(statement, values)
            treatments.load(medication, values["tenant"], values["facility"], values["noted"], medicines)
            medication.execute("VACUUM ANALYZE")
        order = treatments.order(medication, medicines[-1])
    return World(
        values["tenant"], values["facility"], ids[NOTED:], values["noted"], typed, medicines, values["noted"], order
    )
