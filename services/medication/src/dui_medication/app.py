"""The composition root of medication: the whole wiring on one screen."""

from __future__ import annotations

from datetime import timedelta

from dui_kit.service import Service

from dui_medication.catalogue.servicer import CatalogueServicer
from dui_medication.constraints import CONSTRAINTS
from dui_medication.knowledge.servicer import InteractionServicer
from dui_medication.people.remote import People, RemotePeople
from dui_medication.prescriptions.checking import Checker, NetOf, open_net
from dui_medication.prescriptions.jobs import DELETE_EXPIRED_DRAFTS
from dui_medication.prescriptions.servicer import PrescriptionServicer
from dui_medication.prescriptions.signing import Signatures
from dui_medication.reconciliations.servicer import ReconciliationServicer
from dui_medication.reviews.servicer import ReviewServicer
from dui_medication.settings import MedicationSettings
from dui_medication.treatment_plans.servicer import TreatmentPlanServicer
from dui_medication.treatment_snapshots.servicer import TreatmentSnapshotServicer


def build(people: People | None = None, net: NetOf | None = None) -> Service:
    """The medication service. `people`: the way to records and identity; `net`: a certified base, once there is one."""
    settings = MedicationSettings()
    valid_for = timedelta(days=settings.knowledge_valid_days)
    signatures = Signatures(settings.prescription_signing_key_file)
    known = people or RemotePeople(settings)
    return Service(
        name="medication",
        settings=settings,
        servicers=[
            CatalogueServicer(),
            InteractionServicer(valid_for),
            PrescriptionServicer(
                Checker(net or open_net(valid_for)),
                known,
                signatures,
            ),
            TreatmentPlanServicer(),
            TreatmentSnapshotServicer(),
            ReviewServicer(known),
            ReconciliationServicer(),
        ],
        migrations="dui_medication.migrations",
        constraints=CONSTRAINTS,
        jobs=[DELETE_EXPIRED_DRAFTS],
        preflight=signatures.check,
    )
