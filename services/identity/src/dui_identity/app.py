"""The whole wiring of identity."""

from __future__ import annotations

from dui.identity.v1 import access_pb2, journal_pb2, organisation_pb2, staff_pb2
from dui_kit.errors import Refusal
from dui_kit.service import Service
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from dui_identity.accounts.servicer import AccountServicer
from dui_identity.break_glass.servicer import BreakGlassServicer
from dui_identity.facts.servicer import AccessFactServicer
from dui_identity.journal.chain import JOURNAL_CONSUMER
from dui_identity.journal.heads import heads_job
from dui_identity.journal.servicer import JournalServicer
from dui_identity.organisation import rules as organisation
from dui_identity.organisation.servicer import AssociationServicer, FacilityServicer, UnitServicer
from dui_identity.policy import release
from dui_identity.policy.servicer import PolicyServicer
from dui_identity.provisioning.keycloak import Keycloak
from dui_identity.provisioning.rules import password_key
from dui_identity.provisioning.worker import Provisioner
from dui_identity.settings import IdentitySettings
from dui_identity.staff import rules as staff
from dui_identity.staff.servicer import AssignmentServicer, ProfessionalServicer

#: What the violation of a constraint means: these hold also when two calls come at the same moment.
CONSTRAINTS = {
    "association_slug_key": Refusal(organisation.SLUG_TAKEN, field="association.slug"),
    "facility_finess_et_key": Refusal(organisation.FINESS_TAKEN, field="facility.finess_et"),
    "unit_name_key": Refusal(organisation.UNIT_NAME_TAKEN, field="unit.name"),
    "professional_rpps_key": Refusal(staff.RPPS_TAKEN, field="professional.rpps"),
    "professional_email_key": Refusal(staff.EMAIL_TAKEN, field="professional.email"),
    "account_professional_id_key": Refusal(staff.ACCOUNT_EXISTS, field="account.professional_id"),
    "account_login_key": Refusal(staff.LOGIN_TAKEN, field="account.login"),
    "assignment_overlap_excl": Refusal(staff.ASSIGNMENT_OVERLAPS, field="assignment.valid_from"),
}


def build(settings: IdentitySettings | None = None) -> Service:
    """The service, with its settings from the environment unless told."""
    settings = settings or IdentitySettings()
    key = password_key(bytes.fromhex(settings.cursor_key.get_secret_value()))
    provisioner = Provisioner(
        Keycloak(
            url=settings.keycloak_url,
            realm=settings.keycloak_realm,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
        ),
        key,
        "identity",
    )
    return Service(
        name="identity",
        settings=settings,
        servicers=[
            (_service(organisation_pb2.DESCRIPTOR, "AssociationService"), AssociationServicer(key)),
            (_service(organisation_pb2.DESCRIPTOR, "FacilityService"), FacilityServicer()),
            (_service(organisation_pb2.DESCRIPTOR, "UnitService"), UnitServicer()),
            (_service(staff_pb2.DESCRIPTOR, "ProfessionalService"), ProfessionalServicer(key)),
            (_service(staff_pb2.DESCRIPTOR, "AccountService"), AccountServicer(key)),
            (_service(staff_pb2.DESCRIPTOR, "AssignmentService"), AssignmentServicer(key)),
            (_service(access_pb2.DESCRIPTOR, "PolicyService"), PolicyServicer()),
            (_service(access_pb2.DESCRIPTOR, "BreakGlassService"), BreakGlassServicer()),
            (_service(access_pb2.DESCRIPTOR, "AccessFactService"), AccessFactServicer()),
            (
                _service(journal_pb2.DESCRIPTOR, "JournalService"),
                JournalServicer(settings.audit_signing_key_file, settings.audit_heads_dir),
            ),
        ],
        constraints=CONSTRAINTS,
        migrations="dui_identity.migrations",
        consumers=[JOURNAL_CONSUMER],
        jobs=[
            *([provisioner.job()] if settings.keycloak_url else []),
            release.JOB,
            heads_job(settings.audit_signing_key_file, settings.audit_heads_dir, settings.audit_export_seconds),
        ],
        heartbeat=True,
        owns_rights=True,
    )


def _service(file: FileDescriptor, name: str) -> ServiceDescriptor:
    return file.services_by_name[name]
