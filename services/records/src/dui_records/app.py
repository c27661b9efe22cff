"""The composition root of records: the whole wiring on one screen."""

from __future__ import annotations

from dui.records.v1 import (
    allergies_pb2,
    beneficiaries_pb2,
    drafts_pb2,
    facts_pb2,
    handover_notes_pb2,
    medical_history_pb2,
    relations_pb2,
    stays_pb2,
)
from dui_kit.service import Service

from dui_records.admissions.servicer import AdmissionServicer
from dui_records.allergies.servicer import AllergyServicer
from dui_records.beneficiaries.servicer import BeneficiaryServicer
from dui_records.constraints import CONSTRAINTS
from dui_records.drafts.jobs import DELETE_EXPIRED_DRAFTS
from dui_records.drafts.servicer import DraftServicer
from dui_records.facts.servicer import PerimeterFactServicer
from dui_records.handover_notes.servicer import HandoverNoteServicer
from dui_records.insi.port import InsiPort, NotConnected
from dui_records.medical_history.servicer import MedicalEventServicer
from dui_records.relations.servicer import RelationServicer
from dui_records.settings import RecordsSettings
from dui_records.stays.servicer import StayServicer


def build(insi: InsiPort | None = None) -> Service:
    """The records service. `insi`: the way to the national identity service, once there is one."""
    return Service(
        name="records",
        settings=RecordsSettings(),
        servicers=[
            (
                beneficiaries_pb2.DESCRIPTOR.services_by_name["BeneficiaryService"],
                BeneficiaryServicer(insi or NotConnected()),
            ),
            (stays_pb2.DESCRIPTOR.services_by_name["AdmissionService"], AdmissionServicer()),
            (stays_pb2.DESCRIPTOR.services_by_name["StayService"], StayServicer()),
            (relations_pb2.DESCRIPTOR.services_by_name["RelationService"], RelationServicer()),
            (allergies_pb2.DESCRIPTOR.services_by_name["AllergyService"], AllergyServicer()),
            (medical_history_pb2.DESCRIPTOR.services_by_name["MedicalEventService"], MedicalEventServicer()),
            (handover_notes_pb2.DESCRIPTOR.services_by_name["HandoverNoteService"], HandoverNoteServicer()),
            (drafts_pb2.DESCRIPTOR.services_by_name["DraftService"], DraftServicer()),
            (facts_pb2.DESCRIPTOR.services_by_name["PerimeterFactService"], PerimeterFactServicer()),
        ],
        migrations="dui_records.migrations",
        constraints=CONSTRAINTS,
        jobs=[DELETE_EXPIRED_DRAFTS],
        heartbeat=True,
    )
