"""`make demo`: case 1, the follow-up of a person in an establishment, and case 2, a treatment, played through the gateway by
the people of the demo.

Each run admits a new person. Every line is the answer of the platform to a real login, not a text written beforehand.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from dui.identity.v1.access_pb2 import ReviewVerdict
from dui.options.v1.options_pb2 import Category
from dui.records.v1.beneficiaries_pb2 import IdentityStatus
from dui_ops.login import LoginError
from dui_ops.state import StackError, State, load, no_answer

from dui_local import demo_data, demo_prescribing
from dui_local.api import Api, ApiError
from dui_local.demo_story import Story, label
from dui_local.seed import traits

JOURNAL_SECONDS = 20
ALLOWED = "JOURNAL_OUTCOME_ALLOWED"
#: The refusals of the story in a few words.
REFUSALS = {
    "RIGHT_MISSING": "hors de sa fonction",
    "OUT_OF_PERIMETER": "hors de son périmètre",
    "STEP_UP_REQUIRED": "sans second facteur",
}


def play(state: State) -> None:
    """Plays both cases; ApiError or StackError when something does not go as told."""
    with closing(Story(state)) as story:
        print("Cas 1 : suivi d'une personne en établissement")
        base = _secretary(story)
        _nurse(story, base)
        _educator(story, base)
        glass = _doctor(story, base)
        _officer(story, base, glass)
        print("\nCas 2 : le circuit du médicament, de l'ordonnance au retour d'hospitalisation")
        demo_prescribing.play(story)
        print("\nFin. Pour continuer à la place d'une de ces personnes : uv run dui token COMPTE")


def _secretary(story: Story) -> str:
    facility = story.places["facilities"]["fam"]
    with story.person("secretary") as api:
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
    with story.person("nurse") as api:
        ward = api.get(f"/v1/facilities/{facility}/beneficiaries?unit_id={unit}&page_size=50")
        warned = sum(1 for person in ward["beneficiaries"] if person["homonym"])
        story.tell(
            f"ouvre la liste de son unité : {len(ward['beneficiaries'])} personnes, {warned} à ne pas confondre (homonymie)"
        )
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
    with story.person("educator") as api:
        allergies = api.get(f"{base}/allergies")["allergies"]
        story.tell(f"voit l'alerte, utile à toute l'équipe : {allergies[0]['substance']}")
        notes = api.get(f"{base}/handover_notes")["handover_notes"]
        story.tell(f"lit les transmissions de son domaine : {len(notes)} (la transmission infirmière n'y est pas)")
        note = {"category": "CATEGORY_EDUCATIONAL", "subject": "Atelier cuisine", "data": "A participé avec plaisir."}
        api.post(f"{base}/handover_notes", note)
        story.tell("écrit une transmission éducative")
        story.refused("lire les antécédents médicaux", "RIGHT_MISSING", lambda: api.get(f"{base}/medical_events"))


def _doctor(story: Story, base: str) -> dict[str, Any]:
    with story.person("doctor") as api:
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
    with story.person("doctor", acr="2") as api:
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
    with story.person("dpo") as api:
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
            what = f"{entry['operation_label']} · {label(Category, entry['category']) or 'plusieurs catégories'}"
            at = datetime.fromisoformat(entry["occurred_at"]).astimezone(story.zone)
            print(f"       {at:%H:%M:%S}  {entry.get('professional_name', ''):24.24}  {what:55}  {verdict}{glassy}")
        reviewed = api.post(
            f"/v1/break_glasses/{glass['break_glass_id']}:review", {"verdict": "REVIEW_VERDICT_JUSTIFIED"}
        )
        story.tell(f"examine l'urgence : {label(ReviewVerdict, reviewed['verdict']).lower()}")
        proof = api.post("/v1/journal:verify")
        if not proof["valid"]:
            raise StackError(f"the journal does not verify: {proof['defects']}")
        part = "" if proof["whole"] else f", de la {proof['first_index']}e à la {proof['last_index']}e"
        story.tell(f"vérifie le journal : {proof['entries']} entrées chaînées{part}, aucune altération")
        story.refused("lire le dossier lui-même", "RIGHT_MISSING", lambda: api.get(base))


def _status(beneficiary: dict[str, Any]) -> str:
    """How sure an identity is, in a word."""
    return label(IdentityStatus, beneficiary["identity_status"]).lower()


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
