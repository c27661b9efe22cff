"""`make demo`: case 1, the follow-up of a person in an establishment, and what there is of case 2, medicines, played through the
gateway by the people of the demo.

Each run admits a new person. Every line is the answer of the platform to a real login, not a text written beforehand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from dui.identity.v1.access_pb2 import ReviewVerdict
from dui.medication.v1.interactions_pb2 import InteractionLevel, KnowledgeFreshness, UncheckedReason
from dui.options.v1 import options_pb2
from dui.options.v1.options_pb2 import Category
from dui.records.v1.beneficiaries_pb2 import IdentityStatus
from dui_ops.login import LoginError
from dui_ops.state import StackError, State, load, no_answer

from dui_local import demo_data
from dui_local.api import Api, ApiError
from dui_local.seed import traits

SLUG = "les-tilleuls"
JOURNAL_SECONDS = 20
ALLOWED = "JOURNAL_OUTCOME_ALLOWED"
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
        #: The time zone of the facility where it happens; the secretary reads it.
        self.zone = ZoneInfo("UTC")
        self._step = 0

    def person(self, role: str, acr: str = "1") -> Api:
        """Somebody of the association, logged in for real."""
        account = next(a for a in self._state["accounts"] if a["username"] == f"{role}.{SLUG}")
        self._step += 1
        factor = " (mot de passe et code à usage unique)" if acr == "2" else ""
        who = f"{account['name']}, {account['profession']} (compte {account['username']})"
        print(f"\n{self._step}. {who}, s'identifie{factor}")
        return Api(self._state, account, acr)

    @staticmethod
    def tell(text: str) -> None:
        """One thing that happened."""
        print(f"   • {text}")

    def refused(self, what: str, reason: str, act: Callable[[], object], because: str = "") -> None:
        """An act that must be refused for `reason`; StackError when it is not.

        Args:
            because: told instead of the platform's own text, where that speaks to programmers.
        """
        try:
            act()
        except ApiError as refusal:
            if refusal.reason != reason:
                raise
            told = because or str(refusal.problem["detail"]).rstrip(".")
            self.tell(f"{what} → refusé : {told} (HTTP {refusal.status}, {refusal.reason})")
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
    print("\nCas 2, ce qui en existe : trouver un médicament et contrôler les interactions")
    _medicines(story)
    print("\nFin. Pour continuer à la place d'une de ces personnes : uv run dui token COMPTE")


def _secretary(story: Story) -> str:
    facility = story.places["facilities"]["fam"]
    with _closing(story.person("secretary")) as api:
        story.zone = ZoneInfo(api.get(f"/v1/facilities/{facility}")["time_zone"])
        today = datetime.now(story.zone).date()
        # Another person at each run.
        person = demo_data.People(demo_data.associations()[0], f"-{time.time_ns()}").person((25, 55), today)
        prefix = person.birth_name.replace(" ", "").replace("-", "").replace("'", "")[:3]
        found = api.post("/v1/beneficiaries:search", {"birth_date": person.birth_date, "name_prefix": prefix})
        story.tell(f"cherche par date de naissance et 3 lettres du nom (règle RNIV) : {len(found['matches'])} dossier")
        # Nobody has these traits either; but a record marked as fictitious could not show how an identity is validated.
        created = api.post(f"/v1/facilities/{facility}/beneficiaries", traits(person, fictitious=False))
        base = f"/v1/beneficiaries/{created['beneficiary']['beneficiary_id']}"
        story.tell(
            f"ouvre un dossier : {person.given_names[0]} {person.birth_name}, identité "
            f"{_status(created['beneficiary'])}, {len(created['duplicate_candidates'])} doublon possible signalé"
        )
        validated = api.post(
            f"{base}:validateIdentity",
            {"document": "IDENTITY_DOCUMENT_IDENTITY_CARD", "checked_at": datetime.now(UTC).isoformat()},
            **{"If-Match": created["beneficiary"]["etag"]},
        )
        story.tell(f"vérifie la carte d'identité présentée : identité {_status(validated)}")
        story.refused(
            "demander l'identité nationale de santé (INS)",
            "INSI_NOT_CONNECTED",
            lambda: api.post(f"{base}:retrieveIns"),
            "la plateforme n'est pas encore raccordée au téléservice INSi",
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
            "la demande est acceptée, la personne entre : "
            f"séjour à partir du {date.fromisoformat(stay['started_on']):%d/%m/%Y}, chambre {stay['room']}"
        )
        story.refused("lire ses antécédents médicaux", "RIGHT_MISSING", lambda: api.get(f"{base}/medical_events"))
    return base


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
        noted = api.post(f"{base}/allergies", allergy)
        story.tell("note une allergie à l'amoxicilline, sévère")
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
        path = f"{base}/allergies/{noted['allergy_id']}"
        change = {"status": "ALLERGY_STATUS_CONFIRMED", "reason": "Confirmée par le médecin traitant"}
        story.refused(
            "corriger l'allergie sans dire quelle version elle a lue",
            "PRECONDITION_REQUIRED",
            lambda: api.patch(path, change),
            "la correction pourrait en effacer une autre",
        )
        api.patch(path, change, **{"If-Match": noted["etag"]})
        versions = api.get(f"{path}/history")["versions"]
        story.tell(
            f"la corrige en disant laquelle : {len(versions)} versions gardées, l'ancienne reste lisible (If-Match)"
        )


def _educator(story: Story, base: str) -> None:
    with _closing(story.person("educator")) as api:
        allergies = api.get(f"{base}/allergies")["allergies"]
        story.tell(f"voit l'alerte, utile à toute l'équipe : {allergies[0]['substance']}")
        notes = api.get(f"{base}/handover_notes")["handover_notes"]
        story.tell(f"lit les transmissions de son domaine : {len(notes)} (la transmission infirmière n'y est pas)")
        note = {"category": "CATEGORY_EDUCATIONAL", "subject": "Atelier cuisine", "data": "A participé avec plaisir."}
        api.post(f"{base}/handover_notes", note)
        story.tell("écrit une transmission éducative")
        story.refused("lire les antécédents médicaux", "RIGHT_MISSING", lambda: api.get(f"{base}/medical_events"))


def _doctor(story: Story, base: str) -> dict[str, Any]:
    with _closing(story.person("doctor")) as api:
        story.refused(
            "ouvrir ce dossier depuis un autre site", "OUT_OF_PERIMETER", lambda: api.get(f"{base}/medical_events")
        )
        reason = {
            "reason": "BREAK_GLASS_REASON_CONTINUITY_OF_CARE",
            "reason_text": "Astreinte de nuit, appel du FAM : fièvre à 39,5",
        }
        story.refused(
            "briser la glace avec un simple mot de passe",
            "STEP_UP_REQUIRED",
            lambda: api.post(f"{base}:breakGlass", reason),
        )
    with _closing(story.person("doctor", acr="2")) as api:
        glass = api.post(f"{base}:breakGlass", reason)
        until = datetime.fromisoformat(glass["valid_to"]) - datetime.fromisoformat(glass["valid_from"])
        story.tell(
            f"brise la glace avec un motif : accès à cette seule personne pendant {until // timedelta(hours=1)} h"
        )
        story.tell(f"lit aussitôt l'allergie : {api.get(f'{base}/allergies')['allergies'][0]['substance']}")
        api.post(
            f"{base}/medical_events",
            {"kind": "MEDICAL_EVENT_KIND_MEDICAL", "label": "Pyélonéphrite", "started_on": "2026"},
        )
        story.tell("note l'épisode dans les antécédents")
    return glass


def _officer(story: Story, base: str, glass: dict[str, Any]) -> None:
    with _closing(story.person("dpo")) as api:
        pending = api.get("/v1/break_glasses?pending_only=true")["break_glasses"]
        story.tell(f"trouve {len(pending)} accès en urgence à examiner, dont celui du médecin")
        seen = sorted(_accesses(api, base), key=lambda entry: datetime.fromisoformat(entry["occurred_at"]))
        story.tell(
            "lit qui a vu ce dossier : chaque lecture, écriture, liste où figure la personne et refus d'accès depuis son "
            f"ouverture, {len(seen)} en tout, à l'heure de l'établissement ({story.zone.key})"
        )
        for entry in seen:
            verdict = (
                "autorisé"
                if entry["outcome"] == ALLOWED
                else f"refusé ({REFUSALS.get(entry['reason'], entry['reason'])})"
            )
            glassy = ", glace brisée" if entry["break_glass"] else ""
            # A list of several kinds of data has no category of its own.
            what = f"{entry['operation_label']} · {_label(Category, entry['category']) or 'plusieurs catégories'}"
            at = datetime.fromisoformat(entry["occurred_at"]).astimezone(story.zone)
            print(f"       {at:%H:%M:%S}  {entry.get('professional_name', ''):24.24}  {what:55}  {verdict}{glassy}")
        reviewed = api.post(
            f"/v1/break_glasses/{glass['break_glass_id']}:review", {"verdict": "REVIEW_VERDICT_JUSTIFIED"}
        )
        story.tell(f"examine l'urgence : {_label(ReviewVerdict, reviewed['verdict']).lower()}")
        proof = api.post("/v1/journal:verify")
        if not proof["valid"]:
            raise StackError(f"the journal does not verify: {proof['defects']}")
        part = "" if proof["whole"] else f", de la {proof['first_index']}e à la {proof['last_index']}e"
        story.tell(f"vérifie le journal : {proof['entries']} entrées chaînées{part}, aucune altération")
        story.refused("lire le dossier lui-même", "RIGHT_MISSING", lambda: api.get(base))


def _medicines(story: Story) -> None:
    with _closing(story.person("nurse")) as api:
        chosen = {}
        for typed in ("warfa", "miconazol", "paracetamol 500"):
            found = api.post("/v1/specialties:search", {"text": typed, "page_size": 5})["matches"]
            chosen[typed] = found[0]
            more = f" (première de {len(found)})" if len(found) > 1 else ""
            story.tell(f"tape « {typed} » : {found[0]['name']}{more}")
        if any(each["fictive"] for each in chosen.values()):
            story.tell("ces médicaments sont inventés : le catalogue officiel s'importe avec `dui catalogue import`")
        origins = ("EXISTING", "NEW", "CONDITIONAL")
        lines = [
            {"reference": each["name"].split(",")[0], "cis": each["cis"], "origin": f"LINE_ORIGIN_{origin}"}
            for each, origin in zip(chosen.values(), origins, strict=True)
        ]
        checked = api.post("/v1/interactions:check", {"lines": lines})
        if not checked["findings"]:
            raise StackError("warfarine and miconazole: the contraindication of the thesaurus was not found")
        for finding in checked["findings"]:
            level = _label(InteractionLevel, finding["entry"]["level"])
            story.tell(f"{level} : {' + '.join(finding['references'])}")
        for each in checked["unavailable"]:
            story.tell(f"{_label(UncheckedReason, each['reason'])} : {each['substance']}")
        state = checked["knowledge"]
        fresh = _label(KnowledgeFreshness, state["freshness"]).lower()
        story.tell(
            f"contrôle d'après le thésaurus de l'ANSM du {state['edition_on']} ({fresh}) : une aide, pas une certitude"
        )


def _label(kind: Any, name: str) -> str:
    """The French label of a value of an enumeration of the contract."""
    label = kind.DESCRIPTOR.values_by_name[name].GetOptions().Extensions[options_pb2.label_fr]
    return str(label)


def _status(beneficiary: dict[str, Any]) -> str:
    """How sure an identity is, in a word."""
    return _label(IdentityStatus, beneficiary["identity_status"]).lower()


def _accesses(api: Api, base: str) -> list[dict[str, Any]]:
    """Who saw the record, once the journal holds the last acts of the story in both services (it follows within seconds)."""
    deadline = time.monotonic() + JOURNAL_SECONDS
    while True:
        entries: list[dict[str, Any]] = api.get(f"{base}/accesses?page_size=100")["entries"]
        done = {entry["operation"].rpartition("/")[2] for entry in entries if entry["outcome"] == ALLOWED}
        if {"CreateMedicalEvent", "BreakGlass"} <= done:
            return entries
        if time.monotonic() > deadline:
            raise StackError(f"the journal does not hold the last acts after {JOURNAL_SECONDS} s: look at `make logs`")
        time.sleep(0.3)


def check_ready(state: State) -> None:
    """StackError when the platform cannot do its work, which names the parts that are missing, or has no demo data."""
    gateway = state["urls"]["gateway"]
    try:
        answer = httpx.get(f"{gateway}/readyz", timeout=5, trust_env=False)
    except httpx.HTTPError:
        raise StackError(no_answer("the gateway", gateway)) from None
    if not answer.is_success:
        missing = ", ".join(part for part, said in answer.json()["parts"].items() if said != "ok")
        raise StackError(f"the platform is not ready ({missing}): `make status` tells more")
    if not state["seed"].get("complete"):
        raise StackError("there are no demo data: run `make up`")


def main() -> int:
    """0 when the story went as told."""
    try:
        state = load()
        check_ready(state)
        play(state)
    except (ApiError, StackError, LoginError) as error:
        print(f"The demo stopped: {error}", file=sys.stderr)
        return 1
    except httpx.HTTPError:
        print(f"The demo stopped: {no_answer('the gateway', state['urls']['gateway'])}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
