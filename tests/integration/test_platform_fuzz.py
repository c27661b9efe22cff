"""Schemathesis on the running platform: no 5xx, no status and no body that the document does not announce.

Half of the calls go as they were generated; the other half are helped with ids that exist, right check digits and the ETag
of what they change, so that calls get past the door: at least 70 % of the operations must answer 2xx at least once.
Works in the second association of the demo, so that what it breaks there harms no other test.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import schemathesis
from dui_local.api import Api
from dui_ops.state import Account, State, load
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
SLUG = "horizon-reunion"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SHARE = 0.70
TODAY = datetime.now(UTC).date()


def _finess(number: int) -> str:
    body = f"98{number % 1_000_000:06d}"
    total = sum(sum(divmod(int(digit) * (2 - n % 2), 10)) for n, digit in enumerate(reversed(body)))
    return f"{body}{-total % 10}"


#: Values that a generator cannot guess: check digits, dates that make sense, codes of a nomenclature.
RIGHT: dict[str, Any] = {
    "finess_et": _finess,
    "finess_ej": _finess,
    "rpps": None,
    "category_code": "500",
    "time_zone": "Indian/Reunion",
    "email": "fuzz{}@example.org".format,
    "login": "fuzz-{}".format,
    "birth_date": "1960-02-03",
    "birth_place_code": "97411",
    "national_identifier": {"value": "295109912611193", "oid": "1.2.250.1.213.1.4.10"},
    "died_on": None,
    "requested_on": TODAY.isoformat(),
    "wished_entry_on": None,
    "started_on": TODAY.isoformat(),
    "ended_on": None,
    "expected_end_on": None,
    "noticed_on": "2020",
    "observed_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    "checked_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    "valid_from": datetime.now(UTC).isoformat(),
    "valid_to": None,
    "since": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
    "phone": "0262123456",
    "name_prefix": "Du",
    "page_size": 20,
    "page_token": None,
    "call_order": 1,
    "doubtful": False,
    "fictitious": False,
    "category": "CATEGORY_NURSING",
    "profession": "PROFESSION_TEACHER",
    "modality": "STAY_MODALITY_DAY",
    "exit_reason": "EXIT_REASON_RETURN_HOME",
    "document": "IDENTITY_DOCUMENT_PASSPORT",
    "reason": "Essai",
    "verdict": "REVIEW_VERDICT_JUSTIFIED",
    "actions": ["ACTION_READ"],
}
#: A free text `reason` everywhere but here.
CODED_REASON = {
    "breakGlass": "BREAK_GLASS_REASON_OTHER",
    "stop": "STOP_REASON_ABSENCE",
    "suspend": "STOP_REASON_ABSENCE",
}

RECONCILIATION = {"transition": "TRANSITION_ENTRY", "sources": ["TAKEN_SOURCE_PERSON"], "taken": []}

reached: dict[str, set[int]] = {}
_numbers = itertools.count(secrets.randbelow(900_000) + 100_000)


def _treats(path: str) -> bool:
    """Whether it is about what a person takes: the doctor of the association works elsewhere than its nurse."""
    return any(part in path for part in ("/prescription", "/treatment", "/due_doses", "/reconciliations"))


def _until_active(administrator: Api, account_id: str) -> None:
    """An account is set up at the identity provider within seconds."""
    deadline = time.monotonic() + 30
    while administrator.get(f"/v1/accounts/{account_id}")["status"] == "ACCOUNT_STATUS_PROVISIONING":
        assert time.monotonic() < deadline, "the account is not set up after 30 s"
        time.sleep(0.1)


class Platform:
    """The people of the association, and a person with one of everything."""

    def __init__(self, state: State) -> None:
        self.url = state["urls"]["gateway"]
        self._state = state
        self._apis: dict[tuple[str, str], Api] = {}
        self._accounts: dict[str, Account] = {
            account["role"]: account for account in state["accounts"] if account["association"]["alias"] == SLUG
        }
        self._rights = {
            role: {
                (right["category"], action)
                for right in self.api(role).get("/v1/me")["rights"]
                for action in right["actions"]
            }
            for role in self._accounts
        }
        self.facility = state["seed"][SLUG]["facilities"]["fam"]
        self.workshop = state["seed"][SLUG]["facilities"]["ehpad"]
        self.unit = state["seed"][SLUG]["units"]["fam"][0]
        self.ward = state["seed"][SLUG]["units"]["ehpad"][0]

    def api(self, role: str, acr: str = "1") -> Api:
        """Somebody, logged in once for each level."""
        if (role, acr) not in self._apis:
            self._apis[role, acr] = Api(self._state, self._accounts[role], acr)
        return self._apis[role, acr]

    def close(self) -> None:
        """Closes the connections."""
        for api in self._apis.values():
            api.close()

    def who(self, access: dict[str, Any], path: str) -> Api:
        """Somebody who may do what an operation asks for."""
        acr = str(access.get("acr", 1))
        if access["perimeter"] == "PERIMETER_SELF" or "category" not in access:
            return self.api("nurse", acr)
        wanted = (access["category"], access["action"])
        if _treats(path):
            roles = ("doctor", "pharmacist", "ehpad-nurse")
            return next(self.api(role, acr) for role in roles if wanted in self._rights[role])
        for role in ("nurse", "secretary", "head", "doctor", "administrator", "dpo", "educator"):
            if wanted in self._rights[role] and not (role == "doctor" and "/beneficiaries" in path and acr == "1"):
                return self.api(role, acr)
        return self.api("nurse", acr)

    def ids(self, path: str) -> dict[str, str]:
        """Ids of things that exist; what an operation may end or change for good is made anew."""
        secretary, nurse, doctor = self.api("secretary"), self.api("nurse"), self.api("doctor", "2")
        number = next(_numbers)
        person = {
            "birth_name": "Dufuzz",
            "birth_given_names": ["Camille"],
            "birth_date": "1960-02-03",
            "sex": "SEX_FEMALE",
        }

        def beneficiary() -> str:
            made = secretary.post(f"/v1/facilities/{self.facility}/beneficiaries", person)
            return str(made["beneficiary"]["beneficiary_id"])

        found = {"facility_id": self.facility, "unit_id": self.unit, "beneficiary_id": beneficiary()}
        base = f"/v1/beneficiaries/{found['beneficiary_id']}"

        def admission(facility: str) -> str:
            request = {"facility_id": facility, "modality": "STAY_MODALITY_DAY", "requested_on": TODAY.isoformat()}
            return str(secretary.post(f"{base}/admissions", request)["admission_id"])

        entry = admission(self.facility)
        secretary.post(f"{base}/admissions/{entry}:accept")
        stay = {"admission_id": entry, "unit_id": self.unit, "started_on": TODAY.isoformat()}
        found["stay_id"] = secretary.post(f"{base}/stays", stay)["stay_id"]
        found["admission_id"] = admission(self.workshop)
        if path.endswith("/stays"):
            secretary.post(f"{base}/admissions/{found['admission_id']}:accept")
        if _treats(path):
            found |= self._treated(path, base, found["admission_id"])
        if "merge" in path:
            found["merged_beneficiary_id"] = beneficiary()
        if path.endswith(":unmerge"):
            merge = {"merged_beneficiary_id": found["merged_beneficiary_id"], "reason": "Essai"}
            self.api("head", "2").post(f"{base}:merge", merge)
        if "allergies" in path:
            allergy = {"kind": "ALLERGY_KIND_FOOD", "substance": "Arachide"}
            found["allergy_id"] = nurse.post(f"{base}/allergies", allergy)["allergy_id"]
        if "relations" in path:
            relation = {"kind": "RELATION_KIND_CHILD", "family_name": "Dufuzz"}
            found["relation_id"] = secretary.post(f"{base}/relations", relation)["relation_id"]
        if "medical_events" in path or "break_glass" in path:
            glass = {"reason": "BREAK_GLASS_REASON_OTHER", "reason_text": "Essai"}
            found["break_glass_id"] = doctor.post(f"{base}:breakGlass", glass)["break_glass_id"]
        if "medical_events" in path:
            event = {"kind": "MEDICAL_EVENT_KIND_MEDICAL", "label": "Grippe"}
            found["medical_event_id"] = doctor.post(f"{base}/medical_events", event)["medical_event_id"]
        if "handover_notes" in path:
            note = {"category": "CATEGORY_NURSING", "subject": "Sommeil", "data": "Nuit calme"}
            found["handover_note_id"] = nurse.post(f"{base}/handover_notes", note)["handover_note_id"]
        if "drafts" in path:
            draft = {"handover_note": {"category": "CATEGORY_NURSING", "subject": "À finir"}}
            found["draft_id"] = nurse.post(f"{base}/drafts", draft)["draft_id"]
        if "professional" in path or "account" in path:
            administrator = self.api("administrator", "2")
            name = {"family_name": "Dufuzz", "given_name": "Camille", "profession": "PROFESSION_NURSE"}
            found["professional_id"] = administrator.post("/v1/professionals", name)["professional_id"]
            if "{account_id}" in path:
                account = {"professional_id": found["professional_id"], "login": f"fuzz-{number}"}
                found["account_id"] = administrator.post("/v1/accounts", account)["account"]["account_id"]
                _until_active(administrator, found["account_id"])
                if path.endswith(":reactivate"):
                    administrator.post(f"/v1/accounts/{found['account_id']}:suspend", {"reason": "Essai"})
                assignment = {"profession": "PROFESSION_EDUCATOR"}
                made = administrator.post(f"/v1/accounts/{found['account_id']}/assignments", assignment)
                found["assignment_id"] = made["assignment_id"]
        return found

    def _treated(self, path: str, base: str, entry: str) -> dict[str, str]:
        """What a treatment of the person has, where the doctor of the association works."""
        secretary, doctor = self.api("secretary"), self.api("doctor", "2")
        secretary.post(f"{base}/admissions/{entry}:accept")
        stay = {"admission_id": entry, "unit_id": self.ward, "started_on": TODAY.isoformat()}
        secretary.post(f"{base}/stays", stay)
        found = {"facility_id": self.workshop}
        if "/prescription" in path:
            draft = doctor.post(f"{base}/prescriptions", self.prescription())
            found["prescription_id"] = draft["prescription_id"]
            if "/prescription_lines" in path or path.endswith((":verify", "/document")):
                sign = f"{base}/prescriptions/{draft['prescription_id']}:sign"
                signed = doctor.post(sign, **{"If-Match": draft["etag"]})
                found["prescription_line_id"] = signed["line_ids"][0]
        if "prescription_line_id" in found:
            line = doctor.get(f"{base}/prescription_lines/{found['prescription_line_id']}")
            line_path, read = f"{base}/prescription_lines/{line['prescription_line_id']}", {"If-Match": line["etag"]}
            if path.endswith(":resume"):
                doctor.post(f"{line_path}:suspend", {"reason": "STOP_REASON_ABSENCE"}, **read)
            if path.endswith(":answerReview"):
                refusal = {"outcome": "REVIEW_OUTCOME_REFUSED", "problem": "PHARMACY_PROBLEM_OVERDOSE", "text": "Essai"}
                self.api("pharmacist").post(f"{line_path}:review", {"review": refusal}, **read)
        if "/reconciliations/" in path:
            taken = [] if path.endswith(":close") else [{"label": "Tisane", "sources": ["TAKEN_SOURCE_PERSON"]}]
            content = {**RECONCILIATION, "facility_id": self.workshop, "taken": taken}
            made = self.api("ehpad-nurse").post(f"{base}/reconciliations", content)
            found["reconciliation_id"] = made["reconciliation_id"]
            if made["items"]:
                found["item_key"] = made["items"][0]["item_key"]
        return found

    def prescription(self) -> dict[str, Any]:
        """One of the formulary that ships: what is right for one medicine is not for the next."""
        steps = [{"doses": [{"at": "08:00", "quantity": "1"}]}]
        order = {
            "cis": "99000001",
            "route": "orale",
            "dosage": {"unit": "{tbl}", "steps": steps},
            "starts_on": datetime.now(ZoneInfo(str(RIGHT["time_zone"]))).date().isoformat(),
            "nursing_act_required": False,
        }
        return {"facility_id": self.workshop, "orders": [order]}

    def body(self, path: str, ids: dict[str, str]) -> dict[str, Any] | None:
        """A body whose parts have to fit each other; None: any does whose parts are right."""
        if path.endswith(("/prescriptions", "/prescriptions/{prescription_id}")):
            return self.prescription()
        if path.endswith("/prescriptions:check"):
            return {"prescription": self.prescription()}
        if path.endswith(("/reconciliations", "/reconciliations/{reconciliation_id}")):
            return {**RECONCILIATION, "facility_id": self.workshop}
        if path.endswith(":decide"):
            decision = {
                "decision": "RECONCILIATION_DECISION_CONTINUE",
                "divergence": "DIVERGENCE_INTENTIONAL_DOCUMENTED",
            }
            return {"item_key": ids["item_key"], **decision}
        if path.endswith("{prescription_line_id}:review"):
            return {"review": {"outcome": "REVIEW_OUTCOME_ACCEPTED"}}
        return None

    def helped(self, value: Any, ids: dict[str, str], path: str) -> Any:
        """A generated value with what a generator cannot guess put right."""
        if isinstance(value, list):
            return [self.helped(one, ids, path) for one in value]
        if not isinstance(value, dict):
            return value
        result = {}
        for name, one in value.items():
            if name == "reason" and path.rpartition(":")[2] in CODED_REASON:
                result[name] = CODED_REASON[path.rpartition(":")[2]]
            elif name in ids:
                result[name] = ids[name]
            elif name in RIGHT:
                right = RIGHT[name](next(_numbers)) if callable(RIGHT[name]) else RIGHT[name]
                if right is not None:
                    result[name] = right
            elif name.endswith("_id"):
                continue
            else:
                result[name] = self.helped(one, ids, path)
        if "/relations" in path or "/allergies" in path:
            result.pop("trusted_person", None)
        return result


@pytest.fixture(scope="module")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """The association that is fuzzed. At the end, when all of the module was asked for, every operation was called and most
    have succeeded at least once."""
    found = Platform(load())
    yield found
    found.close()
    asked = {item.name for item in request.session.items if item.path == request.path}
    operations = {operation.ok().label for operation in schema.get_all_operations()}
    if not all(any(label in name for name in asked) for label in operations):
        return  # a selection of them (`-k`)
    assert set(reached) == operations
    well = {operation for operation, codes in reached.items() if any(200 <= code < 300 for code in codes)}
    share = len(well) / len(operations)
    print(f"{len(well)} of {len(operations)} operations reached a 2xx ({share:.0%})")
    assert share >= SHARE, sorted(operations - well)


_turns = itertools.cycle((True, False))
# The document of the repository: another test holds it against the one that the gateway serves.
schema = schemathesis.openapi.from_path(DOCUMENT)
schema.config.phases.coverage.enabled = False


@schema.parametrize()
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_announced(platform: Platform, case: Any) -> None:
    definition, path = case.operation.definition.raw, case.operation.path
    access = definition.get("x-dui-access")
    headers = {}
    if access:
        caller = platform.who(access, path)
        headers["Authorization"] = f"Bearer {caller.token()}"
        if next(_turns):
            ids = platform.ids(path)
            case.path_parameters = platform.helped(dict(case.path_parameters or {}), ids, path)
            case.query = platform.helped(dict(case.query or {}), ids, path)
            if isinstance(case.body, dict):
                case.body = platform.body(path, ids) or platform.helped(case.body, ids, path)
            case.headers.pop("Idempotency-Key", None)
            case.headers.pop("If-None-Match", None)
            if any(str(each.get("$ref", "")).endswith("/IfMatch") for each in definition["parameters"]):
                headers["If-Match"] = _etag(platform, caller, case)
    response = case.call(base_url=platform.url, headers=headers)
    reached.setdefault(f"{case.method} {path}", set()).add(response.status_code)
    case.validate_response(response, checks=CHECKS)


def _etag(platform: Platform, caller: Api, case: Any) -> str:
    path = case.operation.path
    for name, value in case.path_parameters.items():
        path = path.replace(f"{{{name}}}", str(value))
    if "/drafts/" in path:
        found = caller.get(path.rpartition("/")[0])["drafts"]
        return str(found[0]["etag"]) if found else "none"
    if "/units/" in path:
        found = [unit for unit in caller.get(path.rpartition("/")[0])["units"] if path.endswith(unit["unit_id"])]
        return str(found[0]["etag"]) if found else "none"
    answer = caller.request("GET", path.rpartition(":")[0] or path)
    return str(answer.json().get("etag", "none"))
