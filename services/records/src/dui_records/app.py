"""The composition root of records: the whole wiring on one screen."""

from __future__ import annotations

from dui_kit.service import Service
from dui_kit.settings import ServiceSettings

from dui_records.admissions.servicer import AdmissionServicer
from dui_records.allergies.servicer import AllergyServicer
from dui_records.beneficiaries.servicer import BeneficiaryServicer
from dui_records.constraints import CONSTRAINTS
from dui_records.drafts.jobs import DELETE_EXPIRED_DRAFTS
from dui_records.drafts.servicer import DraftServicer
from dui_records.facts.servicer import PerimeterFactServicer
from dui_records.handover_notes.servicer import HandoverNoteServicer
from dui_records.insi.port import InsiPort, NotConnected
from dui_records.medical_events.servicer import MedicalEventServicer
from dui_records.relations.servicer import RelationServicer
from dui_records.stays.servicer import StayServicer


def build(insi: InsiPort | None = None) -> Service:
    """The records service. `insi`: the way to the national identity service, once there is one."""
    return Service(
        name="records",
        settings=ServiceSettings(),
        servicers=[
            BeneficiaryServicer(insi or NotConnected()),
            AdmissionServicer(),
            StayServicer(),
            RelationServicer(),
            AllergyServicer(),
            MedicalEventServicer(),
            HandoverNoteServicer(),
            DraftServicer(),
            PerimeterFactServicer(),
        ],
        migrations="dui_records.migrations",
        constraints=CONSTRAINTS,
        jobs=[DELETE_EXPIRED_DRAFTS],
        heartbeat=True,
    )
