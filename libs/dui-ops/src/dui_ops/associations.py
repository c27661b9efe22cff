"""The associations of the platform, as an operator finds, opens, suspends and reopens them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dui.identity.v1 import organisation_pb2 as pb
from dui_identity.provisioning.rules import Problem
from dui_identity.staff.rules import Status

from dui_ops import database, operator
from dui_ops.calls import Account, Remote
from dui_ops.state import StackError

_SERVICE = "dui.identity.v1.AssociationService"
_SECONDS = 20.0
_KNOWN = """SELECT a.tenant_id::text, a.slug, a.name, a.finess_ej, a.siren, a.active,
    (SELECT count(*) FROM account c WHERE c.tenant_id = a.tenant_id AND c.status = %s), a.administrator_account_id::text
FROM association a ORDER BY a.slug"""
# An account waits for the organization of its association at Keycloak too.
_ENTRY = """SELECT a.status, greatest(a.problem, coalesce(max(t.problem), 0)), count(t.*) > 0
FROM account a LEFT JOIN provisioning_task t
    ON t.tenant_id = a.tenant_id AND (t.account_id = a.account_id OR t.account_id IS NULL)
WHERE a.tenant_id = %s AND a.account_id = %s GROUP BY a.status, a.problem"""

_LOGIN = "SELECT 1 FROM account WHERE login = %s AND status <> %s LIMIT 1"


@dataclass(frozen=True, slots=True)
class Association:
    """An association as identity keeps it. `accounts`: those that are active."""

    tenant_id: str
    slug: str
    name: str
    finess_ej: str | None
    siren: str | None
    active: bool
    accounts: int
    administrator_account_id: str | None


def known() -> dict[str, Association]:
    """Every association by its id, suspended ones included, in the order of their slugs."""
    with database.connect("identity", operator.owner_url("identity")) as connection:
        rows = connection.execute(_KNOWN, (int(Status.ACTIVE),)).fetchall()
    return {row[0]: Association(*row) for row in rows}


def slugs(associations: Mapping[str, Association]) -> dict[str, str]:
    """Slugs by id."""
    return {tenant_id: each.slug for tenant_id, each in associations.items()}


def resolve(wanted: str, slugs: Mapping[str, str]) -> str:
    """The id of an association that an operator names by its slug or its id.

    Args:
        slugs: the slugs of the associations there are, by id.

    Raises:
        StackError: there is none.
    """
    name = wanted.strip().lower()
    for tenant_id, slug in slugs.items():
        if name in {tenant_id, slug}:
            return tenant_id
    raise StackError(f"no association named {wanted!r}: `dui tenant list` shows their slugs and ids")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the account of a first administrator stands. `waiting`: Keycloak has not done yet what was asked."""

    status: Status
    problem: Problem
    waiting: bool


def entry_of(tenant_id: str, account_id: str | None) -> Entry:
    """The account of a first administrator.

    Raises:
        StackError: the association has none.
    """
    with database.connect("identity", operator.owner_url("identity")) as connection:
        row = connection.execute(_ENTRY, (tenant_id, account_id or None)).fetchone()
    if row is None:
        raise StackError("the account of its first administrator is not there")
    return Entry(Status(row[0]), Problem(row[1]), row[2])


def login_is_taken(login: str) -> bool:
    """Whether an account of an association has this login; Keycloak may know others."""
    with database.connect("identity", operator.owner_url("identity")) as connection:
        found = connection.execute(_LOGIN, (login, int(Status.ENDED))).fetchone()
    return found is not None


class Associations:
    """Changes associations in identity, as the account of a service."""

    def __init__(self, target: str, account: Account) -> None:
        """Nothing is called yet. `target`: gRPC target of identity."""
        self._identity, self._account = Remote("identity", target), account

    def create(self, request: pb.CreateAssociationRequest) -> pb.CreateAssociationResponse:
        """Opens an association; with a slug that exists, changes nothing and answers what is there."""
        return self._identity.call(
            f"{_SERVICE}/CreateAssociation",
            request,
            pb.CreateAssociationResponse,
            token=self._account.get(),
            timeout=_SECONDS,
        )

    def set_active(self, tenant_id: str, *, active: bool) -> None:
        """Suspends or reopens an association."""
        request = pb.SetAssociationStatusRequest(tenant_id=tenant_id, active=active)
        self._identity.call(
            f"{_SERVICE}/SetAssociationStatus",
            request,
            pb.SetAssociationStatusResponse,
            token=self._account.get(),
            timeout=_SECONDS,
        )

    def close(self) -> None:
        """Closes the connection."""
        self._identity.close()
