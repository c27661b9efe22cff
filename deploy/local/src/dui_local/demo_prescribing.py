"""Case 2 of the demo: the treatment of an elderly person, from the first prescription to the return from hospital."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dui.medication.v1 import interactions_pb2, prescriptions_pb2, reconciliations_pb2
from dui_ops.state import StackError

from dui_local import demo_data
from dui_local.api import Api
from dui_local.demo_story import Story, label
from dui_local.seed import traits

ASKED_FOR = "ALERT_NOT_OVERRIDDEN"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A medicine of the story: what the doctor types, how much, when, for how many days."""

    typed: str
    quantity: str
    times: Sequence[str]
    days: int
    nursing: bool = False


#: The twelve lines. Typed as one types; the first medicine found is taken, of the official catalogue where one was imported.
TREATMENT = (
    Wanted("furosémide 40", "1", ("08:00",), 28),
    Wanted("ramipril 5", "1", ("08:00",), 28),
    Wanted("bisoprolol 2,5", "1", ("08:00",), 28),
    Wanted("atorvastatine 20", "1", ("20:00",), 28),
    Wanted("warfarine 2", "1", ("20:00",), 28, nursing=True),
    Wanted("paracétamol 500", "2", ("08:00", "14:00", "20:00"), 28),
    Wanted("macrogol 4000", "1", ("08:00",), 28),
    Wanted("lévothyroxine 75", "1", ("08:00",), 28),
    Wanted("oxazépam 10", "1", ("20:00",), 28),
    Wanted("pantoprazole 20", "1", ("20:00",), 28),
    Wanted("metformine 500", "1", ("08:00", "20:00"), 28),
    Wanted("potassium chlorure", "1", ("08:00",), 10),
)
GEL = Wanted("miconazole", "1", ("08:00", "20:00"), 7)
ANTIBIOTIC = Wanted("amoxicilline acide clavulanique 500", "1", ("08:00", "20:00"), 6)


def play(story: Story) -> None:
    """Plays Case 2; ApiError or StackError when something does not go as told."""
    base = _entry(story)
    signed = _prescribe(story, base)
    proposed = _review(story, base, signed)
    _round(story, base)
    _follow(story, base, proposed)
    _return(story, base)


def _entry(story: Story) -> str:
    facility = story.places["facilities"]["ehpad"]
    with story.person("secretary") as api:
        person = demo_data.People(demo_data.associations()[0], f"-case2-{time.time_ns()}").person(
            (82, 96), story.today()
        )
        made = api.post(f"/v1/facilities/{facility}/beneficiaries", traits(person))["beneficiary"]
        base = f"/v1/beneficiaries/{made['beneficiary_id']}"
        asked = {"facility_id": facility, "modality": "STAY_MODALITY_RESIDENTIAL", "requested_on": str(story.today())}
        admission = api.post(f"{base}/admissions", asked)
        api.post(f"{base}/admissions/{admission['admission_id']}:accept")
        stay = {
            "admission_id": admission["admission_id"],
            "unit_id": story.places["units"]["ehpad"][0],
            "room": "7",
            "started_on": str(story.today()),
        }
        api.post(f"{base}/stays", stay)
        born = f"{person.birth_date[8:]}/{person.birth_date[5:7]}/{person.birth_date[:4]}"
        story.tell(
            f"admet {person.given_names[0]} {person.birth_name}, née le {born}, à l'EHPAD La Fontaine"
            if person.sex == "SEX_FEMALE"
            else f"admet {person.given_names[0]} {person.birth_name}, né le {born}, à l'EHPAD La Fontaine"
        )
    with story.person("ehpad-nurse") as api:
        for substance, kind in (
            ("Amoxicilline", "MEDICATION"),
            ("un sirop pour la toux, dans l'enfance", "MEDICATION"),
        ):
            api.post(
                f"{base}/allergies",
                {"kind": f"ALLERGY_KIND_{kind}", "substance": substance, "severity": "ALLERGY_SEVERITY_SEVERE"},
            )
            story.tell(f"note une allergie : « {substance} »")
    return base


class _Composer:
    """Writes orders as a prescriber's screen would: from what is typed to a medicine, its route and its unit."""

    def __init__(self, story: Story, api: Api) -> None:
        self._story, self._api = story, api
        self.fictive = False

    def order(self, wanted: Wanted) -> dict[str, Any]:
        """The order of a medicine."""
        found = self._api.post("/v1/specialties:search", {"text": wanted.typed, "page_size": 5})["matches"]
        if not found:
            raise StackError(f"the catalogue has no {wanted.typed}")
        medicine = self._api.get(f"/v1/specialties/{found[0]['cis']}")
        self.fictive = self.fictive or bool(medicine["fictive"])
        today = self._story.today()
        return {
            "cis": medicine["cis"],
            "route": medicine["routes"][0],
            "dosage": {
                "unit": medicine["dose_units"][0]["code"],
                "steps": [{"doses": [{"at": at, "quantity": wanted.quantity} for at in wanted.times]}],
            },
            "starts_on": str(today),
            "ends_on": str(today + timedelta(days=wanted.days - 1)),
            "nursing_act_required": wanted.nursing,
        }


def _blocking(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [alert for alert in report["alerts"] if alert["blocking"] and not alert["overridden"]]


def _prescribe(story: Story, base: str) -> dict[str, Any]:
    with story.person("doctor", acr="2") as api:
        composer = _Composer(story, api)
        orders = [composer.order(wanted) for wanted in TREATMENT]
        draft = {"facility_id": story.places["facilities"]["ehpad"], "orders": orders}
        source = "du livret fictif" if composer.fictive else "du catalogue officiel (BDPM)"
        story.tell(f"compose une ordonnance de {len(orders)} lignes {source}, en dénomination commune")
        _try(story, api, base, draft, composer.order(GEL), "ajoute un gel de miconazole")
        _try(story, api, base, draft, composer.order(ANTIBIOTIC), "ajoute amoxicilline–acide clavulanique")
        answer = api.post(f"{base}/prescriptions:check", {"prescription": draft})
        _tell_report(story, answer["report"])
        overrides = [
            {
                "alert_key": alert["key"],
                "reason": "OVERRIDE_REASON_MONITORED",
                "text": "Hypokaliémie à 3,1 mmol/L sous furosémide ; kaliémie contrôlée à J3 et J7",
            }
            for alert in _blocking(answer["report"])
        ]
        if not overrides:
            raise StackError("ramipril and potassium: the association advised against was not found")
        kept = api.post(f"{base}/prescriptions", draft)
        sign = f"{base}/prescriptions/{kept['prescription_id']}:sign"
        story.refused(
            "signer sans dire pourquoi passer outre",
            ASKED_FOR,
            lambda: api.post(sign, **{"If-Match": kept["etag"]}),
            f"{len(overrides)} alerte bloquante",
        )
        kept = api.patch(
            f"{base}/prescriptions/{kept['prescription_id']}", {"overrides": overrides}, **{"If-Match": kept["etag"]}
        )
        signed = api.post(sign, **{"If-Match": kept["etag"]})
        who = signed["prescriber"]
        story.tell(
            f"lève l'association déconseillée avec un motif et signe : RPPS {who['rpps']}, FINESS {who['finess_et']}"
        )
        proof = api.post(f"{base}/prescriptions/{signed['prescription_id']}:verify")
        story.tell(
            f"fait vérifier la signature : {'valide' if proof['valid'] else 'NON VALIDE'} (clé {signed['signing_key_id']})"
        )
        document = api.request("GET", f"{base}/prescriptions/{signed['prescription_id']}/document")
        if not document.content.startswith(b"%PDF-"):
            raise StackError("the prescription does not print")
        story.tell(f"imprime l'ordonnance : PDF de {len(document.content) // 1024} Ko")
    return signed


def _try(story: Story, api: Api, base: str, draft: dict[str, Any], more: dict[str, Any], act: str) -> None:
    """Adds a medicine that has to be stopped by the check."""
    tried = {**draft, "orders": [*draft["orders"], more]}
    report = api.post(f"{base}/prescriptions:check", {"prescription": tried})["report"]
    place = f"orders[{len(draft['orders'])}]"
    found = [alert for alert in _blocking(report) if place in alert["references"]]
    if not found:
        raise StackError(f"{act}: the check should have stopped it")
    story.tell(f"{act} → bloqué : {found[0]['title']}")


def _tell_report(story: Story, report: dict[str, Any]) -> None:
    for used in report["knowledge"]:
        fresh = label(interactions_pb2.KnowledgeFreshness, used["freshness"]).lower()
        story.tell(f"contrôlé d'après : {used['name']}, {used.get('edition_on', 'aucune édition')} ({fresh})")
    serious = [alert for alert in report["alerts"] if alert["blocking"]]
    story.tell(
        f"{len(report['alerts'])} alertes, dont {len(serious)} à lever par un motif : {serious[0]['title'] if serious else ''}"
    )
    unchecked = [
        each for each in report["unavailable"] if each["kind"] == "ALERT_KIND_ALLERGY" and each.get("allergy_id")
    ]
    if not unchecked:
        raise StackError("an allergy in free text was taken for checked")
    story.tell(unchecked[0]["text"])
    others = len(report["unavailable"]) - len(unchecked)
    story.tell(f"autres contrôles indisponibles, chacun nommé (substances inconnues du thésaurus, doses…) : {others}")


def _review(story: Story, base: str, signed: dict[str, Any]) -> str:
    with story.person("pharmacist") as api:
        waiting = _waiting(story, api, "LINE_WORK_TO_REVIEW")
        mine = [line for line in waiting if line["prescription_id"] == signed["prescription_id"]]
        story.tell(f"ouvre la liste des lignes à analyser : {len(waiting)}, dont les {len(mine)} de cette ordonnance")
        overridden = next(line for line in mine if line["overrides"])
        said = overridden["overrides"][0]
        story.tell(f"voit l'alerte levée et son motif : « {said['text']} »")
        proposed = next(line for line in mine if "METFORMINE" in " ".join(line["view"]["substances"]).upper())
        for line in mine:
            review: dict[str, Any] = {"outcome": "REVIEW_OUTCOME_ACCEPTED"}
            if line is proposed:
                review = {
                    "outcome": "REVIEW_OUTCOME_CHANGE_PROPOSED",
                    "problem": "PHARMACY_PROBLEM_OVERDOSE",
                    "intervention": "PHARMACY_INTERVENTION_DOSE",
                    "text": "Clairance à 38 mL/min : une seule prise par jour",
                }
            path = f"{base}/prescription_lines/{line['prescription_line_id']}:review"
            api.post(path, {"review": review}, **{"If-Match": line["etag"]})
        story.tell(
            f"accepte {len(mine) - 1} lignes et propose une modification : {proposed['view']['label']}, une prise par jour"
        )
        line_id = proposed["prescription_line_id"]
        story.refused(
            "arrêter elle-même la ligne", "RIGHT_MISSING", lambda: _stop(api, base, line_id, proposed["etag"])
        )
    return str(line_id)


def _stop(api: Api, base: str, line_id: str, etag: str) -> dict[str, Any]:
    path = f"{base}/prescription_lines/{line_id}:stop"
    return api.post(path, {"reason": "STOP_REASON_NO_LONGER_NEEDED"}, **{"If-Match": etag})


def _round(story: Story, base: str) -> None:
    tomorrow = story.today() + timedelta(days=1)
    with story.person("ehpad-nurse") as api:
        plan = api.get(f"{base}/treatment_plan")
        helped = sum(not line["order"]["nursing_act_required"] for line in plan["lines"])
        story.tell(
            f"lit le plan de traitement : {len(plan['lines'])} lignes, dont {helped} où l'aide à la prise suffit (CASF L313-26)"
        )
        doses = api.get(f"{base}/due_doses?from_on={tomorrow}&page_size=100")["due_doses"]
        at_eight = [dose for dose in doses if dose["local_time"].endswith("T08:00")]
        story.tell(f"voit les {len(doses)} prises de demain, dont {len(at_eight)} à 8 h")
        warned = next(
            line for line in plan["lines"] if any(note["code"] == "DO_NOT_CRUSH" for note in line["view"]["handling"])
        )
        story.tell(f"{warned['view']['label']} : {warned['view']['handling'][0]['text'].split('.')[0]}.")
        summary = api.get(f"{base}/treatment_summary")
        story.tell(f"retrouve dans le dossier le résumé du traitement : {len(summary['lines'])} lignes, à jour")
        watched = next((line for line in plan["lines"] if "INR" in line["view"]["monitoring"]), None)
        if watched:
            story.tell(f"{watched['view']['label']} : surveiller {', '.join(watched['view']['monitoring'])}")


def _follow(story: Story, base: str, proposed: str) -> None:
    with story.person("doctor", acr="2") as api:
        waiting = _waiting(story, api, "LINE_WORK_TO_ANSWER")
        story.tell(f"ouvre la liste des réponses à donner à la pharmacie : {len(waiting)}")
        line = next(line for line in waiting if line["prescription_line_id"] == proposed)
        review = line["review"]
        story.tell(f"lit la proposition de {review['reviewer_name']} : « {review['text']} »")
        order = line["order"] | {
            "replaces_line_id": proposed,
            "dosage": {
                "unit": line["order"]["dosage"]["unit"],
                "steps": [{"doses": [{"at": "20:00", "quantity": "1"}]}],
            },
        }
        draft = {"facility_id": story.places["facilities"]["ehpad"], "orders": [order]}
        kept = api.post(f"{base}/prescriptions", draft)
        api.post(f"{base}/prescriptions/{kept['prescription_id']}:sign", **{"If-Match": kept["etag"]})
        old = api.get(f"{base}/prescription_lines/{proposed}")
        status = label(prescriptions_pb2.LineStatus, old["status"]).lower()
        story.tell(f"signe une ligne qui la remplace ; l'ancienne est {status}, et reste lisible avec ses versions")


def _return(story: Story, base: str) -> None:
    facility = story.places["facilities"]["ehpad"]
    with story.person("ehpad-nurse") as api:
        plan = api.get(f"{base}/treatment_plan")["lines"]
        taken = []
        for line in plan:
            name = " ".join(line["view"]["substances"]).upper()
            if "OXAZ" in name:  # the hospital stopped it
                continue
            text = line["view"]["dosage_text"]
            if "FUROS" in name:
                text = "2 comprimés à 8 h"
            taken.append(
                {
                    "label": line["view"]["label"],
                    "cis": line["order"]["cis"],
                    "posology_text": text,
                    "sources": ["TAKEN_SOURCE_DISCHARGE_LETTER"],
                }
            )
        taken.append(
            {"label": "Complément protéiné", "posology_text": "1 par jour", "sources": ["TAKEN_SOURCE_RELATIVE"]}
        )
        made = api.post(
            f"{base}/reconciliations",
            {
                "facility_id": facility,
                "transition": "TRANSITION_RETURN",
                "taken": taken,
                "sources": ["TAKEN_SOURCE_DISCHARGE_LETTER", "TAKEN_SOURCE_RELATIVE", "TAKEN_SOURCE_PHARMACY"],
            },
        )
        path = f"{base}/reconciliations/{made['reconciliation_id']}"
        story.tell(
            f"au retour de l'hôpital, compare la lettre de sortie au plan : {len(made['items'])} lignes, "
            f"{made['undecided']} divergences"
        )
        for item in made["items"]:
            if item["kind"] != "RECONCILIATION_ITEM_KIND_SAME":
                kind = label(reconciliations_pb2.ReconciliationItemKind, item["kind"]).lower()
                story.tell(f"   {item.get('taken', {}).get('label') or item['planned_label']} : {kind}")
    with story.person("doctor", acr="2") as api:
        story.refused(
            "clore avant d'avoir décidé",
            "RECONCILIATION_UNDECIDED",
            lambda: api.post(f"{path}:close", **{"If-Match": made["etag"]}),
        )
        decided = made
        for item in made["items"]:
            if item["kind"] == "RECONCILIATION_ITEM_KIND_SAME":
                continue
            choice = _decision(item)
            decided = api.post(
                f"{path}:decide",
                {
                    "item_key": item["item_key"],
                    "decision": choice,
                    "divergence": "DIVERGENCE_INTENTIONAL_DOCUMENTED",
                    "text": "Lettre de sortie du service de cardiologie",
                },
                **{"If-Match": decided["etag"]},
            )
            what = label(reconciliations_pb2.ReconciliationDecision, choice).lower()
            story.tell(f"décide pour {item.get('taken', {}).get('label') or item['planned_label']} : {what}")
        closed = api.post(f"{path}:close", **{"If-Match": decided["etag"]})
        when = datetime.fromisoformat(closed["closed_at"]).astimezone(story.zone)
        story.tell(f"clôt la conciliation à {when:%H:%M} : elle ne change plus")
        for item in closed["items"]:
            if item["decision"] == "RECONCILIATION_DECISION_STOP" and item.get("prescription_line_id"):
                line = api.get(f"{base}/prescription_lines/{item['prescription_line_id']}")
                _stop(api, base, line["prescription_line_id"], line["etag"])
                story.tell(f"arrête {line['view']['label']}, comme décidé")


def _decision(item: dict[str, Any]) -> str:
    """What the doctor of the story decides."""
    match item["kind"]:
        case "RECONCILIATION_ITEM_KIND_ADDED":
            return "RECONCILIATION_DECISION_STOP"
        case "RECONCILIATION_ITEM_KIND_DIFFERENT_POSOLOGY":
            return "RECONCILIATION_DECISION_KEEP_AS_PLANNED"
        case _:
            return "RECONCILIATION_DECISION_CONTINUE"


def _waiting(story: Story, api: Api, work: str) -> list[dict[str, Any]]:
    """The lines of the facility that wait for something."""
    path = f"/v1/facilities/{story.places['facilities']['ehpad']}/prescription_lines?work={work}&page_size=100"
    return list(_pages(api, path, "prescription_lines"))


def _pages(api: Api, path: str, name: str) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        page = api.get(f"{path}&page_token={token}" if token else path)
        yield from page[name]
        token = page["next_page_token"]
        if not token:
            return
