"""A signed prescription on paper: what the law asks of it (CSP, R5132-3 and R5132-29; arrêté du 6 avril 2011, art. 13), in French.

This says what stands on the pages; `prescription.typ` says where. What was typed goes into the template as JSON only, and is shown
there as strings: nothing of it can become markup. Narcotics have sheets of their own, each with everything that a prescription must
bear, so that a pharmacist can keep them apart (CSP, R5132-35).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

import typst
from dui.medication.v1 import catalogue_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.errors import Refusal
from dui_kit.times import from_timestamp

from dui_medication.people.rules import full_name
from dui_medication.prescriptions.rules import NOT_SIGNED
from dui_medication.printing.lines import Fact, PrintedLine, override_fact, printed_line, unavailable_fact
from dui_medication.printing.texts import printable
from dui_medication.printing.values import age, birth_date, day, decimal, grouped, instant, plural

FICTIVE = "MÉDICAMENT FICTIF – FORMATION\nNE PAS DÉLIVRER, NE PAS ADMINISTRER"
SECURED = (
    "Quantités en toutes lettres (CSP, R5132-29). Sur papier ordinaire, ce feuillet ne remplace pas l'ordonnance sécurisée "
    "que demande la délivrance en officine (CSP, R5132-5)."
)
SEAL = (
    "Cette signature est le cachet électronique de la plateforme, apposé pour le prescripteur après authentification à deux "
    "facteurs ; ce n'est pas une signature électronique qualifiée. Elle se vérifie auprès de la plateforme par :\n"
    "POST {address}:verify"
)
NOT_RECORDED = "non renseigné"
PARIS = ZoneInfo("Europe/Paris")
#: Natures of an INS by their OIDs (ANS, « Référentiel INS »).
INS_NATURES = {
    "1.2.250.1.213.1.4.8": "NIR",
    "1.2.250.1.213.1.4.9": "NIA",
    "1.2.250.1.213.1.4.10": "NIR de test",
    "1.2.250.1.213.1.4.11": "NIR de démonstration",
}
#: What fits the head and the foot of a page; the whole is in the body.
_RUNNING_NAME = 60
#: PDF/A-2a to keep it, PDF/UA-1 to have it read aloud.
_STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]
#: The library keeps what it laid out until it was of no use for ten compilations. Empty ones make it forget at once: a hundred
#: documents take 40 MB instead of 180, and the words of no prescription stay in memory. They cost less than a millisecond each.
_ROUNDS_KEPT = 11


@dataclass(frozen=True, slots=True)
class _Field:
    """A label and its value in a table; a strong one catches the eye."""

    label: str
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class _Party:
    name: str
    facts: list[_Field]


@dataclass(frozen=True, slots=True)
class _Person:
    names: list[_Field]
    facts: list[_Field]


@dataclass(frozen=True, slots=True)
class _Sheet:
    title: str
    count: str
    note: str
    lines: list[PrintedLine]


@dataclass(frozen=True, slots=True)
class _Running:
    """What stands on each page."""

    person: str
    prescriber: str
    date: str
    signed: str
    id: str


@dataclass(frozen=True, slots=True)
class _Signature:
    statement: str
    facts: list[Fact]
    seal: str


@dataclass(frozen=True, slots=True)
class _Document:
    """Everything that `prescription.typ` shows."""

    title: str
    author: str
    description: str
    fictive: bool
    banner: str
    running: _Running
    prescriber: _Party
    facility: _Party
    person: _Person
    sheets: list[_Sheet]
    checks_title: str
    checks: list[Fact]
    signature: _Signature


class _Press:
    """The compiler, once a process: it keeps its fonts. One thread at a time prints, and the others go on
    working: the library gives the interpreter back meanwhile."""

    def __init__(self) -> None:
        self._lock = Lock()

    @cached_property
    def _compiler(self) -> typst.Compiler:
        return typst.Compiler(ignore_system_fonts=True)

    @cached_property
    def _template(self) -> bytes:
        return files("dui_medication.printing").joinpath("prescription.typ").read_bytes()

    def pdf(self, data: str, created: datetime) -> bytes:
        """The document of some data. Its day of creation is given, or the same prescription would give other bytes tomorrow."""
        with self._lock:
            made = self._compiler.compile(
                input=self._template,
                format="pdf",
                sys_inputs={"data": data},
                pdf_standards=_STANDARDS,
                timestamp=int(created.timestamp()),
            )
            for _ in range(_ROUNDS_KEPT):
                self._compiler.compile(input=b"", format="svg", sys_inputs=None)
        if not isinstance(made, bytes):
            message = "a PDF is one file"
            raise TypeError(message)
        return made


_PRESS = _Press()
_BORN = {"F": "née", "M": "né"}
_SEX = {"F": "Féminin", "M": "Masculin", "I": "Indéterminé"}


def prescription_pdf(
    prescription: pb.Prescription, lines: Sequence[pb.PrescriptionLine], *, zone: ZoneInfo = PARIS
) -> bytes:
    """A signed prescription as a PDF (A4, PDF/A-2a and PDF/UA-1); `lines` are its lines, in the order of its orders.

    `zone` is the clock of the facility: the day of the signature is a day there. Lines that are no longer in force say so. The
    same prescription and lines give the same bytes. Raises the refusal PRESCRIPTION_NOT_SIGNED for a draft.
    """
    if not prescription.HasField("signed_at"):
        raise Refusal(NOT_SIGNED, field="prescription_id")
    signed = from_timestamp(prescription.signed_at).astimezone(zone)
    document = _document(prescription, lines, signed)
    return _PRESS.pdf(json.dumps(_shown(asdict(document)), ensure_ascii=False), signed)


def _shown(value: Any) -> Any:
    """Every text of some JSON values as the page can show it."""
    match value:
        case str():
            return printable(value)
        case list():
            return [_shown(each) for each in value]
        case dict():
            return {name: _shown(each) for name, each in value.items()}
        case _:
            return value


def _document(prescription: pb.Prescription, lines: Sequence[pb.PrescriptionLine], signed: datetime) -> _Document:
    fictive = any(line.view.fictive for line in lines)
    prescriber = prescription.prescriber
    who = full_name(prescriber.given_name, prescriber.family_name) or "prescripteur inconnu"
    whom = _person_name(prescription.person)
    sheets, numbers = _sheets(lines, signed)
    return _Document(
        title=f"Ordonnance du {signed:%d/%m/%Y}",
        author=who,
        description=f"Ordonnance {prescription.prescription_id}",
        fictive=fictive,
        banner=FICTIVE,
        running=_Running(
            person=f"{_short(whom)}, {birth_date(prescription.person.birth_date) or 'date de naissance inconnue'}",
            prescriber=f"{_short(who)}, RPPS {grouped(prescription.prescriber.rpps, 2, 3, 3, 3) or NOT_RECORDED}",
            date=f"Ordonnance du {signed:%d/%m/%Y}",
            signed=f"Signé électroniquement le {instant(signed)} par {_short(who)}",
            id=prescription.prescription_id,
        ),
        prescriber=_prescriber(prescription.prescriber, who),
        facility=_facility(prescription.prescriber, signed),
        person=_person(prescription, signed),
        sheets=sheets,
        checks_title="Contrôles de l'ensemble de l'ordonnance",
        checks=_checks(prescription, lines, numbers),
        signature=_signature(prescription, who, signed),
    )


def _prescriber(prescriber: pb.Prescriber, name: str) -> _Party:
    return _Party(
        name,
        [
            _Field("Qualification", prescriber.qualification or "non renseignée"),
            _Field("RPPS", grouped(prescriber.rpps, 2, 3, 3, 3) or NOT_RECORDED, strong=True),
        ],
    )


def _facility(prescriber: pb.Prescriber, signed: datetime) -> _Party:
    made = f"{prescriber.town}, le" if prescriber.town else "Le"
    return _Party(
        prescriber.facility_name or "Établissement inconnu",
        [
            _Field("FINESS", grouped(prescriber.finess_et, 2, 3, 4) or NOT_RECORDED),
            _Field(made, f"{signed:%d/%m/%Y}", strong=True),
        ],
    )


def _person(prescription: pb.Prescription, signed: datetime) -> _Person:
    person = prescription.person
    names = [_Field("Nom de naissance", person.birth_name or "inconnu", strong=True)]
    if person.used_name:
        names.append(_Field("Nom utilisé", person.used_name, strong=True))
    names.append(_Field("Prénoms", person.given_names or "inconnus", strong=True))
    if person.ins:
        nature = INS_NATURES.get(person.ins_oid, person.ins_oid or "nature inconnue")
        names.append(_Field("Matricule INS", f"{grouped(person.ins, 1, 2, 2, 2, 3, 3, 2)} ({nature})"))
    facts = [
        _Field("Date de naissance", birth_date(person.birth_date) or "inconnue", strong=True),
        _Field("Âge ce jour", age(person.birth_date, signed.date()) or "inconnu"),
        _Field("Sexe", _SEX.get(person.sex, "inconnu")),
    ]
    if prescription.weight_kg:
        weighed = f" le {day(prescription.weighed_on)}" if prescription.weighed_on else ""
        facts.append(_Field("Poids", f"{decimal(prescription.weight_kg)} kg{weighed}", strong=True))
    return _Person(names, facts)


def _sheets(lines: Sequence[pb.PrescriptionLine], signed: datetime) -> tuple[list[_Sheet], dict[str, str]]:
    """The sheets, and the number that each order (`orders[0]`) has on them."""
    ranked = sorted(enumerate(lines), key=lambda each: _is_narcotic(each[1]))  # stable: in their order otherwise
    numbers = {f"orders[{order}]": str(number) for number, (order, _) in enumerate(ranked, 1)}

    def sheet(title: str, chosen: Callable[[pb.PrescriptionLine], bool]) -> Iterable[_Sheet]:
        shown = [
            printed_line(line, number, len(lines), signed.tzinfo)
            for number, (_, line) in enumerate(ranked, 1)
            if chosen(line)
        ]
        secured = any(_is_narcotic(line) or line.view.amounts_in_words for line in lines if chosen(line))
        if shown:
            yield _Sheet(title, _count(shown, len(lines)), SECURED if secured else "", shown)

    sheets = [
        *sheet("Ordonnance", lambda line: not _is_narcotic(line)),
        *sheet("Ordonnance – STUPÉFIANTS", _is_narcotic),
    ]
    return sheets or [_Sheet("Ordonnance", "Aucun médicament", "", [])], numbers


def _count(shown: Sequence[PrintedLine], total: int) -> str:
    """How many medicines are on a sheet: nobody can add one unseen."""
    told = plural(len(shown), "médicament prescrit", "médicaments prescrits")
    return told if len(shown) == total else f"{told} sur ce feuillet, {total} en tout"


def _is_narcotic(line: pb.PrescriptionLine) -> bool:
    return line.view.poison_list == catalogue_pb2.POISON_LIST_NARCOTIC


def _checks(prescription: pb.Prescription, lines: Sequence[pb.PrescriptionLine], numbers: dict[str, str]) -> list[Fact]:
    """What no line says: alerts gone beyond, and what could not be checked."""
    if not prescription.HasField("report"):
        return [Fact("Contrôle indisponible", "aucun contrôle n'est joint à cette ordonnance")]
    said = {(each.kind, each.text, each.code) for line in lines for each in line.unavailable}
    found = [
        unavailable_fact(each, ", ".join(numbers[one] for one in each.references if one in numbers))
        for each in prescription.report.unavailable
        if (each.kind, each.text, each.code) not in said
    ]
    shown = {each.alert.key for line in lines for each in line.overrides}
    alerts = {each.key: each for each in prescription.report.alerts}
    for each in prescription.overrides:
        if each.alert_key not in shown:
            alert = alerts.get(each.alert_key, pb.Alert())
            found.append(override_fact(pb.SignedOverride(alert=alert, reason=each.reason, text=each.text)))
    return found


def _signature(prescription: pb.Prescription, who: str, signed: datetime) -> _Signature:
    address = f"/v1/beneficiaries/{prescription.beneficiary_id}/prescriptions/{prescription.prescription_id}"
    return _Signature(
        f"Signé électroniquement le {instant(signed)} par {who} (authentification à deux facteurs)",
        [
            Fact("Identifiant de l'ordonnance", prescription.prescription_id),
            Fact("Clé de signature", prescription.signing_key_id or "non renseignée"),
        ],
        SEAL.format(address=address),
    )


def _person_name(person: pb.PrescribedPerson) -> str:
    """The name of each page: as the person is called, and born."""
    if person.used_name and person.used_name != person.birth_name:
        born = _BORN.get(person.sex, "né(e)")
        return f"{person.used_name.upper()} {born} {person.birth_name.upper()} {person.given_names}"
    return f"{person.birth_name.upper()} {person.given_names}".strip() or "Personne inconnue"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _RUNNING_NAME else f"{words[: _RUNNING_NAME - 1]}…"
