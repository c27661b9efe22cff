"""A signed prescription of invented people and medicines, and its paper read back."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

from dui.medication.v1 import catalogue_pb2, interactions_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.times import to_timestamp
from dui_medication.printing.document import prescription_pdf
from pypdf import PdfReader

SIGNED_AT = datetime(2026, 11, 26, 8, 14, tzinfo=UTC)
PRESCRIPTION_ID = "019ac0de-7a11-7c3e-9d3b-5e0c6f1b2a44"
BENEFICIARY_ID = "019ac0de-0000-7c3e-9d3b-5e0c6f1b2a44"


def order(**values: Any) -> pb.LineOrder:
    return pb.LineOrder(
        **{
            "cis": "99000001",
            "naming": pb.NAMING_INN,
            "route": "orale",
            "starts_on": "2026-11-26",
            "ends_on": "2026-12-25",
            "nursing_act_required": False,
            **values,
        }
    )


def view(label: str = "PARACÉTAMOL 500 mg, comprimé", **values: Any) -> pb.OrderView:
    return pb.OrderView(
        **{
            "label": label,
            "substances": ["PARACÉTAMOL"],
            "dosage_text": "1 comprimé à 08:00 et 1 comprimé à 20:00, tous les jours",
            **values,
        }
    )


def line(ordered: pb.LineOrder | None = None, viewed: pb.OrderView | None = None, **values: Any) -> pb.PrescriptionLine:
    return pb.PrescriptionLine(
        order=ordered or order(), view=viewed or view(), **{"status": pb.LINE_STATUS_ACTIVE, **values}
    )


def prescription(**values: Any) -> pb.Prescription:
    return pb.Prescription(
        **{
            "prescription_id": PRESCRIPTION_ID,
            "beneficiary_id": BENEFICIARY_ID,
            "status": pb.PRESCRIPTION_STATUS_SIGNED,
            "prescriber": pb.Prescriber(
                family_name="Le Goff",
                given_name="Maëlle",
                qualification="Docteur en médecine, gériatrie",
                rpps="10003456785",
                facility_name="EHPAD Les Tilleuls",
                finess_et="010000024",
                town="Bourg-en-Bresse",
            ),
            "person": pb.PrescribedPerson(
                birth_name="Martin",
                used_name="Durand",
                given_names="Jeanne Marie",
                birth_date="1941-05-03",
                sex="F",
                ins="295109912611193",
                ins_oid="1.2.250.1.213.1.4.8",
            ),
            "weight_kg": "52.5",
            "weighed_on": "2026-11-20",
            "signed_at": to_timestamp(SIGNED_AT),
            "signing_key_id": "cle-2026-11",
            "report": pb.SafetyReport(signable=True),
            **values,
        }
    )


MORPHINE = line(
    order(overlap_stated=True, nursing_act_required=True, ends_on="2026-12-23"),
    view(
        "MORPHINE (SULFATE DE) 10 mg, comprimé à libération prolongée",
        poison_list=catalogue_pb2.POISON_LIST_NARCOTIC,
        amounts_in_words="un comprimé de dix milligrammes, deux fois par jour",
    ),
)
#: A line of everything that a line may have.
FLUINDIONE = line(
    order(
        naming=pb.NAMING_SPECIALTY,
        no_substitution=pb.NO_SUBSTITUTION_NARROW_MARGIN,
        renewals=3,
        nursing_act_required=True,
        indication="Fibrillation atriale",
        instructions="Toujours à la même heure.",
        restriction_basis=pb.RESTRICTION_BASIS_RENEWAL,
        restriction_text="Dr Petit, cardiologue, le 3 février 2026",
        replaces_line_id=BENEFICIARY_ID,
    ),
    view(
        "FLUINDIX 20 mg, comprimé quadrisécable",
        substances=["FLUINDIONE"],
        poison_list=catalogue_pb2.POISON_LIST_I,
        handling=[pb.HandlingNote(code="MAY_CRUSH", text="Le comprimé peut être écrasé.")],
        monitoring=["INR au moins une fois par mois"],
        dose_mg_per_kg="0.4",
    ),
    overrides=[
        pb.SignedOverride(
            alert=pb.Alert(
                key="k1",
                kind=pb.ALERT_KIND_INTERACTION,
                level=interactions_pb2.INTERACTION_LEVEL_AD,
                title="FLUINDIONE et ACIDE ACÉTYLSALICYLIQUE",
            ),
            reason=pb.OVERRIDE_REASON_MONITORED,
            text="INR deux fois par semaine.",
        )
    ],
    unavailable=[pb.UnavailableCheck(kind=pb.ALERT_KIND_DOSE, text="la dose maximale n'est pas connue", code="X")],
)


def reader(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


def plain(text: str) -> str:
    """What is read, whatever the breaks: without the invisible ones, every run of spaces and ends of lines as one space."""
    return re.sub(r"\s+", " ", re.sub("[\u200b\u2068\u2069]", "", text))


def pages(*lines: pb.PrescriptionLine, of: pb.Prescription | None = None) -> list[str]:
    """The text of each page."""
    return [plain(page.extract_text()) for page in reader(prescription_pdf(of or prescription(), lines)).pages]


def text(*lines: pb.PrescriptionLine, of: pb.Prescription | None = None) -> str:
    return " ".join(pages(*lines, of=of))
