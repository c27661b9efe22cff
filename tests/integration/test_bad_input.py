"""Bad input through the gateway, with real logins: the right status, a problem that names field and remedy, nothing written."""

from __future__ import annotations

import base64
import json
import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from dui_local.api import Api
from dui_ops.state import State, load

SLUG, OTHER = "les-tilleuls", "horizon-reunion"
TODAY = datetime.now(UTC).date()


class People:
    """The people of one association of the demo, logged in when asked for."""

    def __init__(self, state: State, slug: str) -> None:
        self.state, self.slug = state, slug
        self.places: dict[str, Any] = state["seed"][slug]
        self._apis: dict[str, Api] = {}

    def __getitem__(self, role: str) -> Api:
        if role not in self._apis:
            account = next(a for a in self.state["accounts"] if a["username"] == f"{role}.{self.slug}")
            # What changes rights or merges records asks for a second factor.
            self._apis[role] = Api(self.state, account, "2" if role in {"administrator", "head"} else "1")
        return self._apis[role]

    def close(self) -> None:
        for api in self._apis.values():
            api.close()


@pytest.fixture(scope="module")
def home() -> Iterator[People]:
    people = People(load(), SLUG)
    yield people
    people.close()


@pytest.fixture(scope="module")
def other() -> Iterator[People]:
    people = People(load(), OTHER)
    yield people
    people.close()


def traits(**more: Any) -> dict[str, Any]:
    return {
        "birth_name": "Essai" + "".join(random.choices("abcdefghijklm", k=8)),
        "birth_given_names": ["Dominique"],
        "birth_date": "1961-04-05",
        "sex": "SEX_MALE",
    } | more


def opened(people: People, facility: str = "fam") -> str:
    made = people["secretary"].post(f"/v1/facilities/{people.places['facilities'][facility]}/beneficiaries", traits())
    return str(made["beneficiary"]["beneficiary_id"])


@pytest.fixture(scope="module")
def person(home: People) -> str:
    beneficiary = opened(home)
    admit(home, beneficiary, "fam", "STAY_MODALITY_RESIDENTIAL")
    return beneficiary


def admit(people: People, beneficiary: str, facility: str, modality: str) -> httpx.Response:
    """Requests, accepts, and asks to enter today: the answer to the last."""
    secretary, base = people["secretary"], f"/v1/beneficiaries/{beneficiary}"
    place = people.places["facilities"][facility]
    request = {"facility_id": place, "modality": modality, "requested_on": TODAY.isoformat()}
    admission = secretary.post(f"{base}/admissions", request)["admission_id"]
    secretary.post(f"{base}/admissions/{admission}:accept")
    return secretary.request("POST", f"{base}/stays", {"admission_id": admission, "started_on": TODAY.isoformat()})


def problem(response: httpx.Response, status: int, reason: str, field: str | None = None) -> dict[str, Any]:
    """The problem document, which must be this one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    reasons = {found["reason"], *(one["reason"] for one in found["errors"])}
    assert reason in reasons, found
    assert found["detail"]
    if field is not None:
        assert field in [one["field"] for one in found["errors"]], found
        assert all(one["message"] for one in found["errors"])
    return found


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _forged(token: str, how: str) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    match how:
        case "tampered":
            return f"{header}.{_segment(claims | {'sub': secrets.token_hex(16)})}.{signature}"
        case "alg none":
            return f"{_segment({'alg': 'none', 'typ': 'JWT'})}.{payload}."
        case "other tenant":
            organization = {OTHER: {"tenant_id": ["0190a1b2-0000-7000-8000-000000000001"]}}
            return f"{header}.{_segment(claims | {'organization': organization})}.{signature}"
        case "key of its own":
            key = {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": "c2VjcmV0"}}
            return f"{_segment(key)}.{payload}.{signature}"
    return token[:-6] + "AAAAAA"


@pytest.mark.parametrize("how", ["tampered", "alg none", "other tenant", "key of its own", "signature"])
def test_a_forged_token_opens_nothing(home: People, how: str) -> None:
    token = _forged(home["nurse"].token(), how)
    response = httpx.get(f"{home.state['urls']['gateway']}/v1/me", headers={"Authorization": f"Bearer {token}"})
    problem(response, 401, "TOKEN_REFUSED")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert token not in response.text


def test_a_token_for_another_audience_opens_nothing(home: People) -> None:
    """A token of the same realm and the same person, made for the identity provider itself (an ID token)."""
    from dui_ops.login import login_account

    account = next(a for a in home.state["accounts"] if a["username"] == f"nurse.{SLUG}")
    token = login_account(home.state, account).id_token
    response = httpx.get(f"{home.state['urls']['gateway']}/v1/me", headers={"Authorization": f"Bearer {token}"})
    problem(response, 401, "TOKEN_REFUSED")


def test_a_service_token_is_not_a_persons(home: People) -> None:
    service = home.state["services"]["records"]
    form = {
        "grant_type": "client_credentials",
        "client_id": service["client_id"],
        "client_secret": service["client_secret"],
    }
    token = httpx.post(f"{home.state['urls']['issuer']}/protocol/openid-connect/token", data=form).json()[
        "access_token"
    ]
    response = httpx.get(f"{home.state['urls']['gateway']}/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code in {401, 403}


@pytest.mark.parametrize(
    "path", ["", "/allergies", "/medical_events", "/handover_notes", "/stays", "/history", "/drafts"]
)
def test_another_associations_person_is_not_found(home: People, other: People, path: str) -> None:
    beneficiary = other.places["persons"]["fam"][0]
    role = "doctor" if path == "/medical_events" else "nurse"
    found = problem(home[role].request("GET", f"/v1/beneficiaries/{beneficiary}{path}"), 404, "NOT_FOUND")
    assert beneficiary not in json.dumps(found)


def test_another_associations_ids_in_a_body_open_nothing(home: People, other: People, person: str) -> None:
    admission = {
        "facility_id": home.places["facilities"]["fam"],
        "modality": "STAY_MODALITY_DAY",
        "requested_on": TODAY.isoformat(),
    }
    foreign = opened(other)
    asked = other["secretary"].post(
        f"/v1/beneficiaries/{foreign}/admissions", admission | {"facility_id": other.places["facilities"]["fam"]}
    )
    body = {"admission_id": asked["admission_id"], "started_on": TODAY.isoformat()}
    problem(home["secretary"].request("POST", f"/v1/beneficiaries/{person}/stays", body), 404, "NOT_FOUND")
    merge = {"merged_beneficiary_id": foreign, "reason": "essai"}
    problem(home["head"].request("POST", f"/v1/beneficiaries/{person}:merge", merge), 404, "NOT_FOUND")


def test_a_page_token_of_another_association_or_an_altered_one_is_refused(home: People, other: People) -> None:
    page = other["nurse"].get("/v1/facilities?page_size=1")["next_page_token"]
    assert page
    problem(
        home["nurse"].request("GET", f"/v1/facilities?page_size=1&page_token={page}"),
        400,
        "PAGE_TOKEN_INVALID",
        "page_token",
    )
    own = home["nurse"].get("/v1/facilities?page_size=1")["next_page_token"]
    altered = own[:-4] + ("AAAA" if own[-4:] != "AAAA" else "BBBB")
    problem(
        home["nurse"].request("GET", f"/v1/facilities?page_size=1&page_token={altered}"),
        400,
        "PAGE_TOKEN_INVALID",
        "page_token",
    )


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"surprise": 1}, "FIELD_UNKNOWN", "surprise"),
        ({"birth_name": 7}, None, "birth_name"),
        ({"birth_given_names": "Anne"}, None, "birth_given_names"),
        ({"sex": "SEX_OTHER"}, None, "sex"),
        ({"birth_name": "Du\u0000rand"}, "TEXT_CONTROL_CHARACTER", None),
        ({"birth_date": "2101-01-01"}, None, None),
        ({"birth_date": "1980-02-30"}, "FORMAT_INVALID", None),
        ({"identity_status": "IDENTITY_STATUS_QUALIFIEE"}, "FIELD_READ_ONLY", "identity_status"),
        ({"national_identifier": {"value": "295109912611194", "oid": "1.2.250.1.213.1.4.8"}}, "FORMAT_INVALID", None),
        ({"national_identifier": {"value": "295109912611193", "oid": "1.2.3"}}, "FORMAT_INVALID", None),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(
    home: People, change: dict[str, Any], reason: str | None, field: str | None
) -> None:
    facility = home.places["facilities"]["fam"]
    response = home["secretary"].request("POST", f"/v1/facilities/{facility}/beneficiaries", traits() | change)
    assert response.status_code == 400, response.text
    found = response.json()
    assert found["errors"]
    assert all(one["field"] and one["message"] for one in found["errors"])
    if reason:
        assert reason in {found["reason"], *(one["reason"] for one in found["errors"])}
    if field:
        assert any(one["field"].endswith(field) for one in found["errors"])
    for value in change.values():
        assert not isinstance(value, str) or value not in response.text


def test_numbers_with_a_wrong_check_digit_are_refused(home: People) -> None:
    facility = {"name": "Essai", "finess_et": "010780055", "category_code": "500", "time_zone": "Europe/Paris"}
    problem(home["administrator"].request("POST", "/v1/facilities", facility), 400, "FORMAT_INVALID", "finess_et")
    professional = {"family_name": "E", "given_name": "D", "profession": "PROFESSION_NURSE", "rpps": "10003000049"}
    problem(home["administrator"].request("POST", "/v1/professionals", professional), 400, "FORMAT_INVALID", "rpps")


def test_stays_overlap_only_where_life_allows(home: People) -> None:
    beneficiary = opened(home)
    assert admit(home, beneficiary, "fam", "STAY_MODALITY_RESIDENTIAL").status_code == 201
    # An ESAT beside a foyer is normal; a second place in the same facility or a second home is not.
    assert admit(home, beneficiary, "esat", "STAY_MODALITY_WORK").status_code == 201
    assert admit(home, beneficiary, "fam", "STAY_MODALITY_DAY").status_code == 409
    refused = admit(home, beneficiary, "ehpad", "STAY_MODALITY_RESIDENTIAL")
    assert refused.status_code == 409
    assert refused.json()["detail"]


def _raw(home: People, content: bytes, **headers: str) -> httpx.Response:
    api = home["secretary"]
    url = f"{home.state['urls']['gateway']}/v1/beneficiaries:search"
    sent = {"Authorization": f"Bearer {api.token()}", "Content-Type": "application/json"} | headers
    return httpx.post(url, content=content, headers=sent)


def test_a_body_that_is_too_large_too_deep_or_no_json_is_refused(home: People) -> None:
    assert _raw(home, b'{"birth_date":"' + b"1" * 10_000_000 + b'"}').status_code == 413
    assert _raw(home, b'{"a":' * 5_000 + b"1" + b"}" * 5_000).status_code == 400
    assert _raw(home, b"not json").status_code == 400
    assert _raw(home, b"\xff\xfe").status_code == 400
    assert _raw(home, b"{}", **{"Content-Type": "text/plain"}).status_code == 415


def test_a_change_needs_the_etag_of_what_was_read(home: People, person: str) -> None:
    secretary, path = home["secretary"], f"/v1/beneficiaries/{person}"
    change = {"used_given_name": "Dom"}
    problem(secretary.request("PATCH", path, change), 428, "PRECONDITION_REQUIRED")
    etag = secretary.request("GET", path).headers["etag"]
    assert secretary.request("PATCH", path, change, **{"If-Match": etag}).status_code == 200
    problem(secretary.request("PATCH", path, change, **{"If-Match": etag}), 412, "ETAG_STALE")


def test_the_same_key_with_another_body_is_refused(home: People) -> None:
    secretary, key = home["secretary"], secrets.token_hex(16)
    path = f"/v1/facilities/{home.places['facilities']['fam']}/beneficiaries"
    body = traits()
    first = secretary.request("POST", path, body, **{"Idempotency-Key": key})
    again = secretary.request("POST", path, body, **{"Idempotency-Key": key})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["beneficiary"]["beneficiary_id"] == again.json()["beneficiary"]["beneficiary_id"]
    problem(secretary.request("POST", path, traits(), **{"Idempotency-Key": key}), 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_search_keeps_to_the_national_rule(home: People) -> None:
    search = "/v1/beneficiaries:search"
    problem(home["secretary"].request("POST", search, {"name_prefix": "Dur"}), 400, "FIELD_REQUIRED", "birth_date")
    long = {"birth_date": "1961-04-05", "name_prefix": "Durand"}
    problem(home["secretary"].request("POST", search, long), 400, "FIELD_TOO_LONG", "name_prefix")
    wild = {"birth_date": "1961-04-05", "name_prefix": "%"}
    assert home["secretary"].request("POST", search, wild).status_code == 400


def test_texts_come_in_the_language_that_the_caller_reads(home: People) -> None:
    path = f"/v1/beneficiaries/{'0' * 8}-0000-7000-8000-{'0' * 12}"
    french = home["nurse"].request("GET", path).json()
    english = home["nurse"].request("GET", path, **{"Accept-Language": "en"}).json()
    assert french["reason"] == english["reason"] == "NOT_FOUND"
    assert french["detail"] != english["detail"]


def test_an_observation_in_the_future_is_refused(home: People, person: str) -> None:
    note = {
        "category": "CATEGORY_NURSING",
        "subject": "Sommeil",
        "data": "Nuit calme",
        "observed_at": (datetime.now(UTC) + timedelta(minutes=10)).isoformat(),
    }
    response = home["nurse"].request("POST", f"/v1/beneficiaries/{person}/handover_notes", note)
    assert response.status_code == 400
    assert any("observed_at" in one["field"] for one in response.json()["errors"])
