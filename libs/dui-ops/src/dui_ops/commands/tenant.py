"""`dui tenant list|create|suspend|reopen`: the associations of the platform (docs/operations/associations.md)."""

from __future__ import annotations

import argparse
import sys
import time

from dui.identity.v1 import organisation_pb2 as pb
from dui.identity.v1 import staff_pb2
from dui.options.v1 import options_pb2
from dui_identity.provisioning.rules import Problem, in_vain
from dui_identity.staff.rules import Status, clean_login
from dui_kit.calls.validate import Validator
from dui_kit.errors import Refusal

from dui_ops import operator
from dui_ops.associations import Association, Associations, entry_of, known, login_is_taken, resolve, slugs
from dui_ops.calls import Account
from dui_ops.state import StackError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("tenant", help="open, suspend or reopen an association", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="list the associations").set_defaults(run=run_list)
    create = actions.add_parser("create", help="open an association, with its first administrator")
    create.add_argument("slug", help="its short name in logins; never changes: `les-tilleuls`")
    create.add_argument("--name", required=True, help="its name: `Association Les Tilleuls`")
    create.add_argument("--finess-ej", default="", metavar="NUMBER", help="FINESS number of the legal entity")
    create.add_argument("--siren", default="", metavar="NUMBER", help="SIREN of the legal entity")
    person = create.add_argument_group("first administrator", "the person who makes every other account")
    person.add_argument("--family-name", required=True, metavar="NAME")
    person.add_argument("--given-name", required=True, metavar="NAME")
    person.add_argument("--login", required=True, help="what they type to enter; unique on the platform")
    person.add_argument(
        "--email",
        default="",
        metavar="ADDRESS",
        help="where the invitation goes; without it a first password is printed",
    )
    create.add_argument(
        "--wait", type=float, default=15.0, metavar="SECONDS", help="time for the administrator's account to be set up"
    )
    create.set_defaults(run=run_create)
    suspend = actions.add_parser("suspend", help="refuse every call of its people, within seconds")
    suspend.set_defaults(run=lambda arguments: run_status(arguments, active=False))
    reopen = actions.add_parser("reopen", help="let its people in again")
    reopen.set_defaults(run=lambda arguments: run_status(arguments, active=True))
    for action in (suspend, reopen):
        action.add_argument("tenant", metavar="TENANT", help="the slug or the id of the association")
    for action in (create, suspend, reopen):
        action.add_argument("--dry-run", action="store_true", help="check and tell, change nothing")


def run_list(_: argparse.Namespace) -> int:
    found = known()
    width = max((len(each.slug) for each in found.values()), default=0)
    for each in found.values():
        state = "active" if each.active else "suspended"
        sys.stdout.write(f"{each.slug:<{width}}  {each.tenant_id}  {state:<9}  {each.name}\n")
    sys.stdout.write(f"{len(found)} associations\n")
    return 0


def run_create(arguments: argparse.Namespace) -> int:
    """0: the administrator can enter; 1: not yet; 2: nothing was opened."""
    request = _request(arguments)
    associations = known().values()
    there = next((each for each in associations if each.slug == arguments.slug), None)
    if there is not None:
        _check_same(there, request.association)
    else:
        _check_free(request)
    again = there is not None and _invited_in_vain(there)
    if arguments.dry_run:
        told = "would be opened"
        if there:
            told = f"exists already: {'its administrator would be invited again' if again else 'nothing would change'}"
        sys.stdout.write(f"{arguments.slug}: {told}\n")
        return 0
    identity = _identity()
    try:
        reply = identity.create(request)
    finally:
        identity.close()
    told = "opened"
    if there:
        told = f"exists already, {'its administrator is invited again' if again else 'nothing was changed'}"
    sys.stdout.write(f"{arguments.slug} ({reply.association.association_id}): {told}\n")
    if reply.temporary_password:
        sys.stdout.write(f"first password of the administrator, shown this once: {reply.temporary_password}\n")
    return _tell_entry(reply.association.association_id, reply.administrator_account_id, arguments.wait)


def _request(arguments: argparse.Namespace) -> pb.CreateAssociationRequest:
    """What is asked of identity; StackError when identity would refuse it."""
    given = {
        "association": {"slug": arguments.slug, "name": arguments.name},
        "administrator": {"family_name": arguments.family_name, "given_name": arguments.given_name},
    }
    for message, field in (("association", "finess_ej"), ("association", "siren"), ("administrator", "email")):
        if value := getattr(arguments, field):
            given[message][field] = value
    try:
        given["administrator"]["login"] = clean_login(arguments.login, field="administrator.login")
        request = pb.CreateAssociationRequest(
            association=pb.Association(**given["association"]),
            administrator=pb.FirstAdministrator(**given["administrator"]),
        )
        Validator().check(request)
    except Refusal as refusal:
        faults = "; ".join(f"{each.field}: {each.text('en')}" for each in refusal.violations)
        raise StackError(f"this cannot be opened: {faults}") from None
    return request


def _invited_in_vain(there: Association) -> bool:
    if there.administrator_account_id is None:
        return False
    entry = entry_of(there.tenant_id, there.administrator_account_id)
    return in_vain(entry.status, entry.problem)


def _check_free(wanted: pb.CreateAssociationRequest) -> None:
    """Refuses what identity would take and Keycloak would not: nobody could enter."""
    if login_is_taken(wanted.administrator.login):
        raise StackError("the login is taken by somebody of another association: choose another one")


def _tidy(name: str) -> str:
    """A name with single spaces, as identity keeps it."""
    return " ".join(name.split())


def _check_same(there: Association, wanted: pb.Association) -> None:
    """Refuses to take an association that exists for the one that is asked for."""
    for what, is_, asked in (
        ("name", there.name, _tidy(wanted.name)),
        ("FINESS number", there.finess_ej or "", wanted.finess_ej),
        ("SIREN", there.siren or "", wanted.siren),
    ):
        if is_ != asked:
            raise StackError(
                f"{there.slug} exists already with another {what} ({is_ or 'none'}, not {asked or 'none'}): nothing was changed"
            )


def _tell_entry(tenant_id: str, account_id: str, seconds: float) -> int:
    """Whether the first administrator can enter, once Keycloak was asked."""
    end = time.monotonic() + seconds
    while (entry := entry_of(tenant_id, account_id)).waiting and not entry.problem and time.monotonic() < end:
        time.sleep(0.2)
    if entry.problem:
        value = staff_pb2.ProvisioningProblem.DESCRIPTOR.values_by_number[entry.problem]
        label = value.GetOptions().Extensions[options_pb2.label_fr]
        sys.stdout.write(f"the administrator's account: {Problem(entry.problem).name} ({label})\n")
        return 1
    if entry.waiting:
        sys.stdout.write(
            f"the administrator's account is not set up after {seconds:g} s: does the worker of identity run?\n"
        )
        return 1
    sys.stdout.write(f"the administrator's account is {entry.status.name.lower()}\n")
    return 0 if entry.status is Status.ACTIVE else 1


def run_status(arguments: argparse.Namespace, *, active: bool) -> int:
    found = known()
    there = found[resolve(arguments.tenant, slugs(found))]
    state = "active" if active else "suspended"
    if there.active is active:
        told = f"{state} already, nothing {'would change' if arguments.dry_run else 'was changed'}"
    elif arguments.dry_run:
        told = f"would be {state}"
    else:
        identity = _identity()
        try:
            identity.set_active(there.tenant_id, active=active)
        finally:
            identity.close()
        told = state
    sys.stdout.write(f"{there.slug} ({there.tenant_id}): {told}; accounts that this concerns: {there.accounts}\n")
    return 0


def _identity() -> Associations:
    return Associations(operator.identity_target(), Account(operator.settings(operator.environment("identity"))))
