"""The composition root of identity: the whole wiring on one screen."""

from __future__ import annotations

from dui_kit.service import Service

from dui_identity.break_glass.servicer import BreakGlassServicer
from dui_identity.constraints import CONSTRAINTS
from dui_identity.directory.servicer import DirectoryServicer
from dui_identity.facts.servicer import AccessFactServicer
from dui_identity.journal.chain import JOURNAL_CONSUMER, JOURNAL_KEEPER
from dui_identity.journal.heads import heads_job
from dui_identity.journal.servicer import JournalServicer
from dui_identity.organisation.servicer import AssociationServicer, FacilityServicer, UnitServicer
from dui_identity.policy import release
from dui_identity.policy.servicer import PolicyServicer
from dui_identity.provisioning.keycloak import Keycloak
from dui_identity.provisioning.rules import password_key
from dui_identity.provisioning.worker import Provisioner
from dui_identity.settings import IdentitySettings
from dui_identity.staff.servicer import AccountServicer, AssignmentServicer, ProfessionalServicer


def build(settings: IdentitySettings | None = None) -> Service:
    """The service, with its settings from the environment unless told."""
    settings = settings or IdentitySettings()
    key = password_key(bytes.fromhex(settings.sealing_key.get_secret_value()))
    provisioner = Provisioner(
        Keycloak(
            url=settings.keycloak_url,
            realm=settings.keycloak_realm,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
        ),
        key,
    )
    return Service(
        name="identity",
        settings=settings,
        servicers=[
            AssociationServicer(key),
            FacilityServicer(),
            UnitServicer(),
            ProfessionalServicer(),
            AccountServicer(key),
            AssignmentServicer(),
            PolicyServicer(),
            BreakGlassServicer(),
            AccessFactServicer(),
            DirectoryServicer(),
            JournalServicer(settings.audit_signing_key_file, settings.audit_heads_dir),
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
        journal_keeper=JOURNAL_KEEPER,
        owns_rights=True,
    )
