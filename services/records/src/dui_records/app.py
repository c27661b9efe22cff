"""The composition root of records: the whole wiring on one screen."""

from __future__ import annotations

from dui_kit.calls.seals import Seals
from dui_kit.service import Service

from dui_records.admissions.servicer import AdmissionServicer
from dui_records.allergies.servicer import AllergyServicer
from dui_records.beneficiaries.servicer import BeneficiaryServicer
from dui_records.constraints import CONSTRAINTS
from dui_records.drafts.jobs import DELETE_EXPIRED_DRAFTS
from dui_records.drafts.servicer import DraftServicer
from dui_records.facts.servicer import PerimeterFactServicer
from dui_records.handover_notes.servicer import HandoverNoteServicer
from dui_records.identity_strips.servicer import IdentityStripServicer
from dui_records.insi.port import InsiPort, NotConnected
from dui_records.medical_events.servicer import MedicalEventServicer
from dui_records.relations.servicer import RelationServicer
from dui_records.settings import RecordsSettings
from dui_records.stays.servicer import StayServicer
from dui_records.treatment_summaries.keeping import Keeper
from dui_records.treatment_summaries.remote import RemoteTreatments, Treatments
from dui_records.treatment_summaries.servicer import TreatmentSummaryServicer


def build(insi: InsiPort | None = None, treatments: Treatments | None = None) -> Service:
    """The records service. `insi`: the way to the national identity service, once there is one; `treatments`: to medication."""
    settings = RecordsSettings()
    treatments = treatments or RemoteTreatments(settings)
    keeper = Keeper(treatments, lambda: Seals(settings.sealing_key.get_secret_value()))
    return Service(
        name="records",
        settings=settings,
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
            IdentityStripServicer(),
            TreatmentSummaryServicer(treatments),
        ],
        migrations="dui_records.migrations",
        constraints=CONSTRAINTS,
        consumers=[keeper.consumer()],
        jobs=[DELETE_EXPIRED_DRAFTS, keeper.job()],
        heartbeat=True,
    )
