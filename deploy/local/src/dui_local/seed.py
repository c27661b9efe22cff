"""The demo data: two fictitious associations, entered the way in that everybody takes.

The operator opens each association; its first administrator makes facilities, staff and accounts through the gateway; the
secretary admits the persons. Only two things are done at Keycloak directly: demo passwords and one-time secrets, which a
real person chooses at their first login.
"""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import httpx
import pyotp
from dui.identity.v1 import organisation_pb2, organisation_pb2_grpc
from dui_ops.login import LoginError
from dui_ops.stack import Account, StackError, State
from keycloak import KeycloakAdmin, KeycloakError

from dui_local import demo_data
from dui_local.api import Api, ApiError

ADMINISTRATOR = demo_data.Post("administrator", "PROFESSION_ADMINISTRATOR", "Administratrice", None)
READY_SECONDS = 60


def seed(state: State) -> None:
    """Loads the demo data, unless they are there; fills `accounts` and `seed` of the state."""
    if state["seed"].get("complete"):
        return
    state["accounts"].clear()
    state["seed"].clear()
    identities = _Identities(state)
    for plan in demo_data.associations():
        _association(state, plan, identities)
    state["seed"]["complete"] = True


class _Identities:
    """Demo persons at Keycloak, with a password and a one-time secret; they exist before their account does."""

    def __init__(self, state: State) -> None:
        settings = state["keycloak"]
        self._admin = KeycloakAdmin(
            server_url=settings["url"],
            realm_name=settings["realm"],
            user_realm_name="master",
            client_id=settings["admin_client_id"],
            client_secret_key=settings["admin_client_secret"],
        )

    def ensure(self, username: str, email: str, given: str, family: str) -> tuple[str, str, str]:
        """Subject, password and one-time secret of a login; an earlier one of the same name is made anew."""
        try:
            earlier = self._admin.get_user_id(username)
            if earlier:
                self._admin.delete_user(earlier)
            password, secret = f"Demo-{secrets.token_urlsafe(12)}", pyotp.random_base32()
            subject = self._admin.create_user(
                {
                    "username": username,
                    "email": email,
                    "emailVerified": True,
                    "enabled": True,
                    "firstName": given,
                    "lastName": family,
                    "credentials": [
                        {"type": "password", "value": password, "temporary": False},
                        {
                            "type": "otp",
                            "userLabel": "demo",
                            "secretData": f'{{"value":"{secret}"}}',
                            "credentialData": '{"subType":"totp","digits":6,"counter":0,"period":30,'
                            '"algorithm":"HmacSHA1","secretEncoding":"BASE32"}',
                        },
                    ],
                },
                exist_ok=False,
            )
        except KeycloakError as error:
            raise StackError(f"Keycloak refuses the demo login {username}: {error.response_code}") from error
        return str(subject), password, secret


def _service_token(state: State) -> str:
    """The operator's way in: the service account of identity."""
    service = state["services"]["identity"]
    answer = httpx.post(
        f"{state['urls']['issuer']}/protocol/openid-connect/token",
        data={
            "grant_type": "client_credentials",
            "client_id": service["client_id"],
            "client_secret": service["client_secret"],
        },
        timeout=15,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _account(
    state: State,
    plan: demo_data.Association,
    tenant_id: str,
    post: demo_data.Post,
    staff: demo_data.Staff,
    login: tuple[str, str, str],
) -> Account:
    subject, password, secret = login
    account: Account = {
        "username": f"{post.role}.{plan.slug}",
        "password": password,
        "otp_secret": secret,
        "subject": subject,
        "name": f"{staff.given_name} {staff.family_name}",
        "profession": post.label,
        "role": post.role,
        "association": {"alias": plan.slug, "name": plan.name, "tenant_id": tenant_id},
    }
    state["accounts"].append(account)
    return account


def _association(state: State, plan: demo_data.Association, identities: _Identities) -> None:
    people = demo_data.People(plan)
    staff = people.staff(ADMINISTRATOR)
    email = f"{ADMINISTRATOR.role}@{plan.slug}.example.org"
    login = identities.ensure(f"{ADMINISTRATOR.role}.{plan.slug}", email, staff.given_name, staff.family_name)
    request = organisation_pb2.CreateAssociationRequest(
        association=organisation_pb2.Association(slug=plan.slug, name=plan.name, finess_ej=plan.finess_ej),
        administrator=organisation_pb2.FirstAdministrator(
            family_name=staff.family_name,
            given_name=staff.given_name,
            login=f"{ADMINISTRATOR.role}.{plan.slug}",
            email=email,
        ),
    )
    with grpc.insecure_channel(state["services"]["identity"]["target"]) as channel:
        stub = organisation_pb2_grpc.AssociationServiceStub(channel)
        metadata = (("authorization", f"Bearer {_service_token(state)}"),)
        opened = stub.CreateAssociation(request, timeout=20, metadata=metadata)
    tenant_id = opened.association.association_id
    administrator = Api(state, _account(state, plan, tenant_id, ADMINISTRATOR, staff, login), acr="2")
    _wait_for(administrator)
    facilities, units = _facilities(administrator, plan)
    for post in plan.posts:
        _staff(state, plan, tenant_id, post, people, identities, administrator, facilities)
    secretary = next(account for account in state["accounts"] if account["username"] == f"secretary.{plan.slug}")
    api = Api(state, secretary)
    _wait_for(api)
    persons = _persons(api, plan, people, facilities, units)
    state["seed"][plan.slug] = {"tenant_id": tenant_id, "facilities": facilities, "units": units, "persons": persons}
    for client in (api, administrator):
        client.close()


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
    tenant_id: str,
    post: demo_data.Post,
    people: demo_data.People,
    identities: _Identities,
    api: Api,
    facilities: dict[str, str],
) -> None:
    staff = people.staff(post)
    username, email = f"{post.role}.{plan.slug}", f"{post.role}@{plan.slug}.example.org"
    login = identities.ensure(username, email, staff.given_name, staff.family_name)
    professional: dict[str, Any] = {
        "family_name": staff.family_name,
        "given_name": staff.given_name,
        "profession": post.profession,
        "email": email,
    }
    if staff.rpps:
        professional["rpps"] = staff.rpps
    professional_id = api.post("/v1/professionals", professional)["professional_id"]
    account = api.post("/v1/accounts", {"professional_id": professional_id, "login": username})["account"]
    assignment: dict[str, Any] = {"profession": post.profession}
    if post.facility:
        assignment["facility_id"] = facilities[post.facility]
    api.post(f"/v1/accounts/{account['account_id']}/assignments", assignment)
    _account(state, plan, tenant_id, post, staff, login)


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


def traits(person: demo_data.Person) -> dict[str, Any]:
    """A demo person as the gateway takes them."""
    return {
        "birth_name": person.birth_name,
        "birth_given_names": list(person.given_names),
        "birth_date": person.birth_date,
        "sex": person.sex,
        "birth_place_code": person.birth_place_code,
        "national_identifier": {"value": person.nir, "oid": demo_data.TEST_OID},
        "fictitious": True,
    }
