"""The treatments that the benchmark works on: lines as the service itself writes them, for persons of the demo association."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from dui.medication.v1 import catalogue_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.ids import new_id
from dui_kit.times import to_timestamp
from dui_medication.posology.units import units_for
from dui_medication.prescriptions.orders import ordered
from google.protobuf.json_format import MessageToDict

#: Lines that somebody takes already; the one that is checked is the twelfth.
LINES = 11
_LINE = """
INSERT INTO prescription_line (tenant_id, prescription_line_id, beneficiary_id, version, author_account_id, recorded_at, created_at,
  prescription_id, facility_id, status, last_on, work, content)
VALUES (%s, %s, %s, 1, %s, now(), now(), %s, %s, 1, %s, 1, %s)
"""
_PRESCRIPTION = """
INSERT INTO prescription (tenant_id, prescription_id, beneficiary_id, version, author_account_id, recorded_at, facility_id, content)
VALUES (%s, %s, %s, 1, %s, now(), %s, %s)
"""


def load(medication: psycopg.Connection[Any], tenant: str, facility: str, persons: list[str], codes: list[str]) -> None:
    """A treatment of eleven lines, of medicines drawn at random, for each of some persons."""
    author, until = new_id(), date.today() + timedelta(days=60)  # noqa: DTZ011 (a day far enough anywhere)
    known = {cis: _specialty(medication, cis) for cis in random.sample(codes, min(len(codes), 200))}
    with medication.cursor() as cursor:
        for person in persons:
            prescription_id = new_id()
            cursor.execute(_PRESCRIPTION, (tenant, prescription_id, person, author, facility, b""))
            lines = []
            for cis in random.sample(sorted(known), LINES):
                line = pb.PrescriptionLine(
                    prescription_line_id=new_id(),
                    beneficiary_id=person,
                    prescription_id=prescription_id,
                    facility_id=facility,
                    order=_order(known[cis], until),
                    signed_at=to_timestamp(datetime.now(UTC)),
                    prescriber_account_id=author,
                )
                [each] = ordered([line.order], known)
                line.view.CopyFrom(each.view(None))
                row = (tenant, line.prescription_line_id, person, author, prescription_id, facility, until)
                lines.append((*row, line.SerializeToString()))
            cursor.executemany(_LINE, lines)


def order(medication: psycopg.Connection[Any], cis: str) -> dict[str, Any]:
    """An order of a medicine as a client sends it."""
    until = date.today() + timedelta(days=6)  # noqa: DTZ011 (a day far enough anywhere)
    return MessageToDict(_order(_specialty(medication, cis), until), preserving_proto_field_name=True)


def _order(specialty: catalogue_pb2.Specialty, until: date) -> pb.LineOrder:
    content = {
        "cis": specialty.cis,
        "route": specialty.routes[0] if specialty.routes else "orale",
        "dosage": {
            "unit": units_for(specialty.form)[0].code,
            "steps": [{"doses": [{"at": "08:00", "quantity": "1"}, {"at": "20:00", "quantity": "1"}]}],
        },
        "starts_on": (datetime.now(UTC) + timedelta(hours=2)).date().isoformat(),
        "ends_on": until.isoformat(),
        "nursing_act_required": False,
    }
    return pb.LineOrder(**content)  # type: ignore[arg-type] # nested messages from dicts


def _specialty(medication: psycopg.Connection[Any], cis: str) -> catalogue_pb2.Specialty:
    query = "SELECT content FROM reference.specialty WHERE cis = %s AND last_edition IS NULL"
    row = medication.execute(query, (cis,)).fetchone()
    assert row is not None
    return catalogue_pb2.Specialty.FromString(bytes(row[0]))
