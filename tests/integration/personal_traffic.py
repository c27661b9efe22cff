"""Requests full of personal data, every one of them traced: the demo, and what goes wrong on purpose."""

from __future__ import annotations

import random
import re
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
import psycopg
import pytest
from dui_kit.identifiers import normalise_name
from dui_local import demo_data
from dui_local.api import Api
from dui_local.demo import play
from dui_local.demo_story import SLUG
from dui_local.seed import ADMINISTRATOR
from dui_ops.login import LoginError, login
from dui_ops.state import State, account

#: What a request may say that is nobody's: names of enumerations, ids, days that are not of birth, short numbers.
_NOBODYS = re.compile(r"[A-Z]+(_[A-Z0-9]+)+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}(-\d\d){0,2}|\d{1,7}|.{0,3}")


def mark() -> str:
    """A word that is nowhere else."""
    return "Zq" + "".join(random.choices(string.ascii_lowercase, k=12))


@dataclass(slots=True)
class Traffic:
    """What was asked, and what of it must be nowhere."""

    #: The span of the caller, by trace id, of requests that ask to be traced.
    traced: dict[str, str] = field(default_factory=dict)
    #: Names of the demo and what its people wrote: words as they are, and as a search keeps them.
    words: set[str] = field(default_factory=set)
    #: Words made for this test, numbers, addresses, secrets: searched in any writing, inside of anything.
    marks: set[str] = field(default_factory=set)

    def traceparent(self) -> str:
        """The header of a new trace that asks to be sampled."""
        trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.traced[trace_id] = span_id
        return f"00-{trace_id}-{span_id}-01"

    def learn(self, body: Any, key: str = "") -> None:
        """Takes the words out of a request's body."""
        if isinstance(body, dict):
            for name, value in body.items():
                self.learn(value, name)
        elif isinstance(body, list):
            for value in body:
                self.learn(value, key)
        elif isinstance(body, str) and key != "oid" and (key == "birth_date" or not _NOBODYS.fullmatch(body)):
            self.words |= {body, normalise_name(body)}


@contextmanager
def traced(traffic: Traffic) -> Iterator[None]:
    """Every request through `Api` begins a trace that asks to be sampled, and is learnt from."""
    original = Api.request

    def request(self: Api, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        traffic.learn(body)
        if "traceparent" not in headers:
            headers["traceparent"] = traffic.traceparent()
        return original(self, method, path, body, **headers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Api, "request", request)
        yield


def demo_names(state: State) -> set[str]:
    """Names and numbers of everybody whom the demo data invent, and the logins of its staff."""
    found: set[str] = set()
    staff: set[str] = set()
    for plan in demo_data.associations():
        people = demo_data.People(plan)
        for post in (ADMINISTRATOR, *plan.posts):
            person = people.staff(post)
            staff.add(f"{person.given_name} {person.family_name}")
            found |= {person.given_name, person.family_name, person.rpps or ""}
        for facility in plan.facilities:
            for accompanied in people.persons(facility, datetime.now(UTC).date()):
                found |= {accompanied.birth_name, *accompanied.given_names, accompanied.nir, accompanied.birth_date}
    assert staff == {each["name"] for each in state["accounts"]}  # the same generator, in the same order
    logins = {each["username"] for each in state["accounts"]}
    return {each for each in found | {normalise_name(each) for each in found} | logins if len(each) > 2}


def play_the_demo(state: State, traffic: Traffic) -> None:
    """Case 1, all of it traced."""
    traffic.words |= demo_names(state)
    traffic.marks |= {each["password"] for each in state["accounts"]}
    traffic.marks |= {each["otp_secret"] for each in state["accounts"] if each["otp_secret"]}
    with traced(traffic):
        play(state)


class Mishaps:
    """Requests with words that are nowhere else, most of which are refused, each by another part of the platform."""

    def __init__(self, state: State, traffic: Traffic) -> None:
        self._state, self._traffic = state, traffic
        self._facility = state["seed"][SLUG]["facilities"]["fam"]

    def mark(self) -> str:
        """A new word to look for."""
        word = mark()
        self._traffic.marks.add(word)
        return word

    def all(self) -> str:
        """Everything; AssertionError when a request is not answered as it should be.

        Returns a word, nobody's, that PostgreSQL writes into its log after all the rest.
        """
        with traced(self._traffic):
            apis = {role: Api(self._state, account(self._state, f"{role}.{SLUG}")) for role in ("secretary", "nurse")}
            apis["administrator"] = Api(self._state, account(self._state, f"{ADMINISTRATOR.role}.{SLUG}"), "2")
            self._traffic.marks.add(apis["secretary"].token().rsplit(".", 1)[-1])
            try:
                beneficiary = self._accepted(apis["secretary"])
                self._invalid(apis["secretary"])
                self._unreadable(apis["secretary"])
                self._forbidden(apis["nurse"], beneficiary)
                self._constraint(apis["administrator"])
            finally:
                for api in apis.values():
                    api.close()
        self._logins()
        return self._database()

    def person(self) -> dict[str, Any]:
        """Somebody, with a real national identifier."""
        body = f"1{random.randint(30, 49)}0275056{random.randint(0, 999):03d}"
        nir = f"{body}{97 - int(body) % 97:02d}"
        self._traffic.marks.add(nir)
        return {
            "birth_name": self.mark(),
            "birth_given_names": [self.mark(), self.mark()],
            "birth_date": date(1930 + random.randint(0, 19), 2, 17).isoformat(),
            "sex": "SEX_MALE",
            "birth_place_code": "75056",
            "national_identifier": {"value": nir, "oid": demo_data.TEST_OID},
            "fictitious": True,
        }

    def _accepted(self, api: Api) -> str:
        made = api.post(f"/v1/facilities/{self._facility}/beneficiaries", self.person())
        return str(made["beneficiary"]["beneficiary_id"])

    def _invalid(self, api: Api) -> None:
        """Refused by the gateway or by the validation of the service."""
        people = f"/v1/facilities/{self._facility}/beneficiaries"
        search = {"birth_date": "1931-02-17", "name_prefix": self.mark()}
        self._expect(api.request("POST", "/v1/beneficiaries:search", search), 400)
        for wrong in ({"sex": self.mark()}, {"birth_date": self.mark()}, {self.mark(): self.mark()}):
            self._expect(api.request("POST", people, self.person() | wrong), 400)
        identifier = {"national_identifier": {"value": self.mark(), "oid": self.mark()}}
        self._expect(api.request("POST", people, self.person() | identifier), 400)
        self._expect(api.request("POST", people, self.person() | {"birth_name": f"{self.mark()}\0"}), 400)
        self._expect(api.request("GET", f"{people}?page_token={self.mark()}"), 400)
        self._expect(api.request("GET", f"{people}?{self.mark()}={self.mark()}"), 400)
        self._expect(api.request("GET", f"/v1/beneficiaries/{self.mark()}"), 400)
        self._expect(api.request("GET", f"/v1/{self.mark()}", traceparent=""), 404)
        names = ("Idempotency-Key", "If-Match", "Accept-Language", "User-Agent", "Origin", "Baggage", "Tracestate")
        self._expect(api.request("POST", people, self.person(), **{name: self.mark() for name in names}), 201)
        self._expect(api.request("GET", people, traceparent=self.mark()), 200)

    def _unreadable(self, api: Api) -> None:
        """No JSON, and a token that is none."""
        gateway = f"{self._state['urls']['gateway']}/v1"
        headers = {"Authorization": f"Bearer {api.token()}", "Content-Type": "application/json"}
        for content in (f'{{"birth_name": "{self.mark()}', f"\udcff{self.mark()}".encode("utf-8", "surrogateescape")):
            answer = httpx.post(
                f"{gateway}/facilities/{self._facility}/beneficiaries",
                content=content,
                headers=headers | {"traceparent": self._traffic.traceparent()},
            )
            self._expect(answer, 400)
        headers = {"Authorization": f"Bearer {self.mark()}.{self.mark()}.{self.mark()}"}
        answer = httpx.get(f"{gateway}/me", headers=headers | {"traceparent": self._traffic.traceparent()})
        self._expect(answer, 401)

    def _forbidden(self, api: Api, beneficiary: str) -> None:
        """Refused by the rights: the person is not admitted, and the nurse may not open records."""
        note = {"category": "CATEGORY_NURSING", "subject": self.mark(), "data": f"{self.mark()} {self.mark()}"}
        self._expect(api.request("POST", f"/v1/beneficiaries/{beneficiary}/handover_notes", note), 403, 404)
        self._expect(api.request("POST", f"/v1/facilities/{self._facility}/beneficiaries", self.person()), 403)

    def _constraint(self, api: Api) -> None:
        """Refused by PostgreSQL, whose error quotes the values: an e-mail address is there already."""
        email = f"{self.mark().lower()}@example.org"
        self._traffic.marks.add(email)
        person = {"profession": "PROFESSION_NURSE", "email": email}
        for status in (201, 409):
            named = person | {"family_name": self.mark(), "given_name": self.mark()}
            self._expect(api.request("POST", "/v1/professionals", named), status)

    def _logins(self) -> None:
        """Refused by Keycloak: nobody of that name; a wrong password."""
        known = account(self._state, f"educator.{SLUG}")["username"]
        for username in (self.mark(), f"{self.mark()}@example.org", known):
            with pytest.raises(LoginError):
                login(
                    issuer=self._state["urls"]["issuer"],
                    username=username,
                    password=self.mark(),
                    organization=SLUG,
                )

    def _database(self) -> str:
        """Refused by PostgreSQL whatever the platform asks it: a value that is there already, and one of the wrong form; at the
        end a database that does not exist, which its log does name."""
        url, last = self._state["services"]["records"]["database"]["superuser_url"], mark()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TEMPORARY TABLE probe (word text PRIMARY KEY, day date)")
            word = self.mark()
            connection.execute("INSERT INTO probe (word) VALUES (%s)", [word])
            for statement in ("INSERT INTO probe VALUES (%s)", "INSERT INTO probe VALUES ('', %s)"):
                with pytest.raises(psycopg.Error, match=word):
                    connection.execute(statement, [word])
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, dbname=last)
        return last

    @staticmethod
    def _expect(answer: httpx.Response, *statuses: int) -> None:
        assert answer.status_code in statuses, f"{answer.request.method} {answer.request.url}: {answer.text}"
