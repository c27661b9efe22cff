"""`make demo`: Case 1, the follow-up of a person in an establishment, played through the gateway by the people of the demo.

Each run admits a new person. Every line is the answer of the platform to a real login, not a text written beforehand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from dui.identity.v1.access_pb2 import ReviewVerdict
from dui.options.v1 import options_pb2
from dui.options.v1.options_pb2 import Action, Category
from dui_ops.login import LoginError
from dui_ops.stack import StackError, State, load

from dui_local import demo_data
from dui_local.api import Api, ApiError
from dui_local.seed import traits

SLUG = "les-tilleuls"
JOURNAL_SECONDS = 20
#: The refusals of the story in a few words.
REFUSALS = {
    "RIGHT_MISSING": "hors de sa fonction",
    "OUT_OF_PERIMETER": "hors de son périmètre",
    "STEP_UP_REQUIRED": "sans second facteur",
}


class Story:
    """Tells what happens, and stops with a message when it is not what should."""

    def __init__(self, state: State) -> None:
        """`state`: of a stack with demo data."""
        self._state = state
        self.places = state["seed"][SLUG]
        self._step = 0

    def person(self, role: str, acr: str = "1") -> Api:
        """Somebody of the association, logged in for real."""
        account = next(a for a in self._state["accounts"] if a["username"] == f"{role}.{SLUG}")
        self._step += 1
        factor = " (mot de passe et code à usage unique)" if acr == "2" else ""
        print(f"\n{self._step}. {account['name']}, {account['profession']}, s'identifie{factor}")
        return Api(self._state, account, acr)

    @staticmethod
    def tell(text: str) -> None:
        """One thing that happened."""
        print(f"   • {text}")

    def refused(self, what: str, reason: str, act: Callable[[], object]) -> None:
        """An act that must be refused for `reason`; StackError when it is not."""
        try:
            act()
        except ApiError as refusal:
            if refusal.reason != reason:
                raise
            self.tell(f"{what} → refusé ({refusal.status}) : {refusal.problem['detail']}")
        else:
            raise StackError(f"{what}: should have been refused ({reason})")


@contextmanager
def _closing(api: Api) -> Iterator[Api]:
    try:
        yield api
    finally:
        api.close()


def play(state: State) -> None:
    """Plays Case 1; ApiError or StackError when something does not go as told."""
    story = Story(state)
    print("Cas 1 : suivi d'une personne en établissement")
    base = _secretary(story)
    _nurse(story, base)
    _educator(story, base)
    glass = _doctor(story, base)
    _officer(story, base, glass)
    print("\nFin du cas 1.")


def _secretary(story: Story) -> str:
    people = demo_data.People(demo_data.associations()[0])
    people = _fresh(people)
    person = people.person((25, 55), datetime.now(UTC).date())
    facility = story.places["facilities"]["fam"]
    today = datetime.now(UTC).date()
    with _closing(story.person("secretary")) as api:
        prefix = person.birth_name.replace(" ", "").replace("-", "").replace("'", "")[:3]
        found = api.post("/v1/beneficiaries:search", {"birth_date": person.birth_date, "name_prefix": prefix})
        story.tell(f"cherche par date de naissance et 3 lettres du nom (règle RNIV) : {len(found['matches'])} dossier")
        created = api.post(f"/v1/facilities/{facility}/beneficiaries", traits(person))
        base = f"/v1/beneficiaries/{created['beneficiary']['beneficiary_id']}"
        status = created["beneficiary"]["identity_status"].removeprefix("IDENTITY_STATUS_").lower()
        story.tell(
            f"ouvre le dossier de {person.given_names[0]} {person.birth_name} : identité {status}, "
            f"{len(created['possible_duplicates'])} doublon possible signalé"
        )
        admission = api.post(
            f"{base}/admissions",
            {"facility_id": facility, "modality": "STAY_MODALITY_RESIDENTIAL", "requested_on": today.isoformat()},
        )
        story.tell("enregistre la demande d'admission au FAM Les Tilleuls")
        api.post(f"{base}/admissions/{admission['admission_id']}:accept")
        stay = api.post(
            f"{base}/stays",
            {
                "admission_id": admission["admission_id"],
                "unit_id": story.places["units"]["fam"][0],
                "room": "12",
                "started_on": today.isoformat(),
            },
        )
        story.tell(
            f"la demande est acceptée, la personne entre : séjour à partir du {stay['started_on']}, chambre {stay['room']}"
        )
        story.refused("lire ses antécédents médicaux", "RIGHT_MISSING", lambda: api.get(f"{base}/medical_history"))
    return base


def _fresh(people: demo_data.People) -> demo_data.People:
    """Another person at each run."""
    for _ in range(time.time_ns() // 1_000_000 % 997):
        people.person((25, 55), datetime.now(UTC).date())
    return people


def _nurse(story: Story, base: str) -> None:
    facility, unit = story.places["facilities"]["fam"], story.places["units"]["fam"][0]
    with _closing(story.person("nurse")) as api:
        ward = api.get(f"/v1/facilities/{facility}/beneficiaries?unit_id={unit}&page_size=50")
        warned = sum(1 for person in ward["beneficiaries"] if person["homonym"])
        story.tell(f"ouvre la liste de son unité : {len(ward['beneficiaries'])} personnes, {warned} homonymie signalée")
        allergy = {
            "kind": "ALLERGY_KIND_MEDICATION",
            "substance": "Amoxicilline",
            "reaction": "Urticaire géante",
            "severity": "ALLERGY_SEVERITY_SEVERE",
        }
        noted = api.request("POST", f"{base}/allergies", allergy)
        story.tell(f"note une allergie à l'amoxicilline, sévère ({noted.status_code})")
        draft = api.post(
            f"{base}/drafts",
            {"handover_note": {"category": "CATEGORY_NURSING", "subject": "Pansement", "data": "À compléter"}},
        )
        story.tell("commence une transmission en brouillon : elle seule le voit, il disparaîtra dans 7 jours")
        note = {
            "category": "CATEGORY_NURSING",
            "subject": "Pansement du talon gauche",
            "data": "Plaie propre, 2 cm, pas d'écoulement.",
            "action": "Pansement refait.",
            "result": "À revoir dans 48 heures.",
        }
        api.post(f"{base}/handover_notes?draft_id={draft['draft_id']}", note)
        story.tell(f"signe la transmission ; il reste {len(api.get(f'{base}/drafts')['drafts'])} brouillon")
        path = f"{base}/allergies/{noted.json()['allergy_id']}"
        change = {"status": "ALLERGY_STATUS_CONFIRMED", "reason": "Confirmée par le médecin traitant"}
        without = api.request("PATCH", path, change)
        story.tell(f"corrige l'allergie sans dire ce qu'elle a lu : {without.status_code}, {without.json()['detail']}")
        api.request("PATCH", path, change, **{"If-Match": noted.json()["etag"]}).raise_for_status()
        versions = api.get(f"{path}/history")["versions"]
        story.tell(f"corrige avec If-Match : {len(versions)} versions gardées, l'ancienne reste lisible")


def _educator(story: Story, base: str) -> None:
    with _closing(story.person("educator")) as api:
        allergies = api.get(f"{base}/allergies")["allergies"]
        story.tell(f"voit l'alerte, utile à toute l'équipe : {allergies[0]['substance']}")
        notes = api.get(f"{base}/handover_notes")["handover_notes"]
        story.tell(f"lit les transmissions de son domaine : {len(notes)} (la transmission infirmière n'y est pas)")
        note = {"category": "CATEGORY_EDUCATIONAL", "subject": "Atelier cuisine", "data": "A participé avec plaisir."}
        api.post(f"{base}/handover_notes", note)
        story.tell("écrit une transmission éducative")
        story.refused("lire les antécédents médicaux", "RIGHT_MISSING", lambda: api.get(f"{base}/medical_history"))


def _doctor(story: Story, base: str) -> dict[str, Any]:
    with _closing(story.person("doctor")) as api:
        story.refused(
            "ouvrir ce dossier depuis un autre site", "OUT_OF_PERIMETER", lambda: api.get(f"{base}/medical_history")
        )
        motive = {
            "reason": "BREAK_GLASS_REASON_CONTINUITY_OF_CARE",
            "reason_text": "Astreinte de nuit, appel du FAM : fièvre à 39,5",
        }
        story.refused(
            "briser la glace avec un simple mot de passe",
            "STEP_UP_REQUIRED",
            lambda: api.post(f"{base}:breakGlass", motive),
        )
    with _closing(story.person("doctor", acr="2")) as api:
        glass = api.post(f"{base}:breakGlass", motive)
        until = datetime.fromisoformat(glass["valid_to"]) - datetime.fromisoformat(glass["valid_from"])
        story.tell(
            f"brise la glace avec un motif : accès à cette seule personne pendant {until // timedelta(hours=1)} h"
        )
        story.tell(f"lit aussitôt l'allergie : {api.get(f'{base}/allergies')['allergies'][0]['substance']}")
        api.post(
            f"{base}/medical_history",
            {"kind": "MEDICAL_EVENT_KIND_MEDICAL", "label": "Pyélonéphrite", "started_on": "2026"},
        )
        story.tell("note l'épisode dans les antécédents")
    return glass


def _officer(story: Story, base: str, glass: dict[str, Any]) -> None:
    with _closing(story.person("dpo")) as api:
        pending = api.get("/v1/break_glasses?pending_only=true")["break_glasses"]
        story.tell(f"trouve {len(pending)} accès en urgence à examiner, dont celui du médecin")
        seen = _accesses(api, base)
        for entry in reversed(seen):
            allowed = entry["outcome"] == "JOURNAL_OUTCOME_ALLOWED"
            verdict = "autorisé" if allowed else f"refusé ({REFUSALS.get(entry['reason'], entry['reason'])})"
            glassy = ", glace brisée" if entry["break_glass"] else ""
            what = " · ".join(filter(None, (_label(Action, entry["action"]), _label(Category, entry["category"]))))
            who = f"{entry['occurred_at'][11:19]}  {entry.get('professional_name', ''):28.28}"
            print(f"       {who}  {what:38.38}  {verdict}{glassy}")
        reviewed = api.post(
            f"/v1/break_glasses/{glass['break_glass_id']}:review", {"verdict": "REVIEW_VERDICT_JUSTIFIED"}
        )
        story.tell(f"examine l'urgence : {_label(ReviewVerdict, reviewed['verdict']).lower()}")
        proof = api.post("/v1/journal:verify")
        if not proof["valid"]:
            raise StackError(f"the journal does not verify: {proof['defects']}")
        story.tell(f"vérifie le journal : {proof['entries']} entrées chaînées, aucune altération")
        story.refused("lire le dossier lui-même", "RIGHT_MISSING", lambda: api.get(base))


def _label(kind: Any, name: str) -> str:
    """The French label of a value of an enumeration of the contract."""
    label = kind.DESCRIPTOR.values_by_name[name].GetOptions().Extensions[options_pb2.label_fr]
    return str(label)


def _accesses(api: Api, base: str) -> list[dict[str, Any]]:
    """Who saw the record, once the journal holds the last act of the story (it follows within seconds)."""
    deadline = time.monotonic() + JOURNAL_SECONDS
    while True:
        entries: list[dict[str, Any]] = api.get(f"{base}/accesses?page_size=100")["entries"]
        if any(entry["operation"].endswith("/CreateMedicalEvent") for entry in entries):
            return entries
        if time.monotonic() > deadline:
            raise StackError(f"the journal does not hold the last act after {JOURNAL_SECONDS} s: look at `make logs`")
        time.sleep(0.3)


def main() -> int:
    """0 when the story went as told."""
    try:
        state = load()
        if not state["seed"].get("complete"):
            print("There are no demo data: run `make up` first.", file=sys.stderr)
            return 1
        play(state)
    except (ApiError, StackError, LoginError, httpx.HTTPError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
