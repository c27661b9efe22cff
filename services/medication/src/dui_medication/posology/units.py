"""The units in which a dose may be prescribed (UCUM, case sensitive), and which of them fit a pharmaceutical form.

UCUM has codes for what is measured; what is counted stands in braces, an annotation that UCUM leaves to who writes it. The
list is closed: a unit that everybody reads alike is worth more than one that somebody finds handy. `U` is not on it, nor is
`cc` or a spoon of the kitchen, which are known to be misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from dui_kit.errors import Code, Reason, Refusal

DOSE_UNIT_UNKNOWN = Reason(
    "DOSE_UNIT_UNKNOWN",
    Code.INVALID_ARGUMENT,
    fr="Cette unité n'est pas dans la liste : choisissez-la parmi {listed}.",
    en="This unit is not on the list: choose one of {listed}.",
)
DOSE_TOO_LARGE = Reason(
    "DOSE_TOO_LARGE",
    Code.INVALID_ARGUMENT,
    fr="Une dose de plus de {most} {unit} est une faute de frappe : corrigez la quantité ou l'unité.",
    en="A dose of more than {most} {unit} is a typing error: correct the quantity or the unit.",
)
DOSE_UNIT_UNFIT = Reason(
    "DOSE_UNIT_UNFIT",
    Code.INVALID_ARGUMENT,
    fr="Cette unité ne va pas avec la forme du médicament : choisissez une masse, ou parmi {fitting}.",
    en="This unit does not fit the form of the medicine: choose a mass, or one of {fitting}.",
)


class Kind(Enum):
    """What a unit measures."""

    MASS = "mass"
    VOLUME = "volume"
    COUNT = "count"
    ACTIVITY = "activity"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit and how it is written in French."""

    code: str
    kind: Kind
    #: Beside a figure: « 2 mg », « 1 comprimé », « 2 comprimés ».
    one: str
    many: str
    #: In full letters: « milligramme ».
    word: str
    words: str
    feminine: bool = False


def _counted(code: str, one: str, many: str = "", *, feminine: bool = False) -> Unit:
    many = many or f"{one}s"
    return Unit(code, Kind.COUNT, one, many, one, many, feminine)


def _measured(code: str, kind: Kind, symbol: str, word: str, words: str = "", *, feminine: bool = False) -> Unit:
    return Unit(code, kind, symbol, symbol, word, words or f"{word}s", feminine)


_ALL: Final = (
    _measured("ng", Kind.MASS, "ng", "nanogramme"),
    # In full: « µg » is read as « mg », and « UI » as « IV » or « 10 ».
    Unit("ug", Kind.MASS, "microgramme", "microgrammes", "microgramme", "microgrammes"),
    _measured("mg", Kind.MASS, "mg", "milligramme"),
    _measured("g", Kind.MASS, "g", "gramme"),
    _measured("mL", Kind.VOLUME, "mL", "millilitre"),
    _measured("L", Kind.VOLUME, "L", "litre"),
    Unit("[iU]", Kind.ACTIVITY, "unité", "unités", "unité internationale", "unités internationales", feminine=True),
    Unit("k[iU]", Kind.ACTIVITY, "millier d'unités", "milliers d'unités", "millier d'unités", "milliers d'unités"),
    Unit("M[iU]", Kind.ACTIVITY, "million d'unités", "millions d'unités", "million d'unités", "millions d'unités"),
    _measured("mmol", Kind.AMOUNT, "mmol", "millimole", feminine=True),
    _measured("meq", Kind.AMOUNT, "mEq", "milliéquivalent"),
    _counted("{tbl}", "comprimé"),
    _counted("{caps}", "gélule", feminine=True),
    _counted("{softcaps}", "capsule", feminine=True),
    _counted("{sachet}", "sachet"),
    _counted("{supp}", "suppositoire"),
    _counted("{ovule}", "ovule"),
    _counted("{patch}", "patch", "patchs"),
    _counted("{device}", "dispositif"),
    _counted("{implant}", "implant"),
    _counted("{lozenge}", "pastille", feminine=True),
    _counted("{gum}", "gomme", feminine=True),
    _counted("{film}", "film"),
    _counted("{lyophilisate}", "lyophilisat"),
    _counted("{granule}", "granule"),
    _counted("{puff}", "bouffée", feminine=True),
    _counted("{inhalation}", "inhalation", feminine=True),
    _counted("{spray}", "pulvérisation", feminine=True),
    _counted("{actuation}", "pression", feminine=True),
    _counted("[drp]", "goutte", feminine=True),
    _counted("{unidose}", "unidose", feminine=True),
    _counted("{dose}", "dose", feminine=True),
    _counted("{measure}", "cuillère-mesure", "cuillères-mesures", feminine=True),
    _counted("{applic}", "application", feminine=True),
    _counted("{amp}", "ampoule", feminine=True),
    _counted("{vial}", "flacon"),
    _counted("{syringe}", "seringue préremplie", "seringues préremplies", feminine=True),
    _counted("{pen}", "stylo prérempli", "stylos préremplis"),
    _counted("{cartridge}", "cartouche", feminine=True),
    _counted("{bag}", "poche", feminine=True),
)
#: More of a unit in one dose is a typing error; no ceiling of any medicine. Of what is not here: `_MOST_COUNTED` of a count.
_MOST: Final = {"[drp]": 500, "{granule}": 500, "mg": 50_000, "g": 1_000, "mL": 10_000, "L": 20}
_MOST_COUNTED: Final = 100
#: By code.
UNITS: Final = {unit.code: unit for unit in _ALL}


class Fit(Enum):
    """What `check_unit` found when it did not refuse."""

    FITS = "fits"
    #: The table has no word for this form: any unit passes, and a person should look.
    FORM_UNKNOWN = "form unknown"


_DRUNK = frozenset(
    {"mL", "L", "[drp]", "{measure}", "{sachet}", "{unidose}", "{amp}", "{vial}", "{dose}", "{actuation}", "{spray}"}
)
_INJECTED = frozenset(
    {"mL", "L", "{amp}", "{vial}", "{syringe}", "{pen}", "{cartridge}", "{bag}", "{dose}", "{unidose}"}
)
_DROPPED = frozenset({"[drp]", "mL", "{unidose}", "{dose}", "{vial}", "{applic}", "{spray}", "{actuation}"})
_BREATHED = frozenset(
    {
        "{puff}",
        "{inhalation}",
        "{spray}",
        "{actuation}",
        "{dose}",
        "{unidose}",
        "{amp}",
        "{vial}",
        "{caps}",
        "{cartridge}",
    }
) | {"mL", "L", "[drp]", "{applic}"}
_SPREAD = frozenset(
    {
        "{applic}",
        "{actuation}",
        "{spray}",
        "{dose}",
        "{unidose}",
        "{sachet}",
        "{device}",
        "{patch}",
        "{measure}",
        "{vial}",
        "{amp}",
    }
) | {"mL", "L", "[drp]"}
_INSERTED = frozenset({"{device}", "{patch}", "{implant}", "{applic}", "{ovule}", "{dose}"})
_ANY_LIQUID = _DRUNK | _INJECTED | _DROPPED | _SPREAD
_ANY_POWDER = _DRUNK | _INJECTED | _SPREAD

#: Words of the forms of the public database (column 3 of CIS_bdpm), and the counts and volumes that each goes with. A form
#: has those of all its words.
_WORDS: Final = tuple(
    (re.compile(rf"\b(?:{words})"), units)
    for words, units in (
        # What is taken whole.
        (r"comprimé", frozenset({"{tbl}"})),
        (r"gélule|capsule", frozenset({"{caps}", "{softcaps}"})),
        # In water before it is taken, of which a part may be given.
        (r"effervescent|dispersible", frozenset({"mL"})),
        (r"orodispersible", frozenset({"{tbl}"})),
        (r"film", frozenset({"{film}"})),
        (r"granules\b|microgranule", frozenset({"{granule}", "{dose}", "{unidose}"})),
        (r"granulés", frozenset({"{sachet}", "{measure}", "{dose}", "{unidose}", "{granule}"})),
        (r"pastille|à sucer|gomme|muco-adhésif", frozenset({"{lozenge}", "{gum}"})),
        (r"suppositoire", frozenset({"{supp}"})),
        (r"ovule|insert", frozenset({"{ovule}"}) | _INSERTED),
        # What is worn or put in place.
        (r"patch|dispositif|emplâtre|pansement|compresse|tampon|système de diffusion|implant|matrice", _INSERTED),
        # Ways to give that a form names.
        (r"buvable|sirop|tisane|entéral|gastro-entéral|intestinal|élixir", _DRUNK),
        (
            r"injectable|injection|perfusion|parentéral|dialyse|hémo|radiopharmaceutique|cardioplégique|intravésical",
            _INJECTED,
        ),
        (r"gouttes?\b|collyre|oculaire|instillation|auriculaire|ophtalmique", _DROPPED),
        (
            r"inhalation|pulvérisation|nébuliseur|aérosol|fumigation|gaz\b|collutoire|nasale?|endonasale|vapeur",
            _BREATHED,
        ),
        (
            (
                r"crème|pommade|gel\b|gelée|pâte|lotion|shampooing|vernis|mousse|moussant|bâton|liniment|application|baume"
                r"|bain|lavage|gargarisme|dentaire|dentifrice|prick-test|colle\b|marquage|filmogène|cutanée?|rectale?|vaginale?"
            ),
            _SPREAD,
        ),
    )
)
#: Words that say what a thing is made of, not how it is given: they count where nothing else says so.
_MATTER: Final = (
    (re.compile(r"\b(?:solution|suspension|émulsion|dispersion|liquide|solvant)"), _ANY_LIQUID),
    (re.compile(r"\bpoudre"), _ANY_POWDER),
    (re.compile(r"\blyophilisat"), frozenset({"{lyophilisate}", "{tbl}"})),
    (re.compile(r"\b(?:trousse|microsphère)"), _INJECTED),
    (re.compile(r"\b(?:plante|mélange de plantes)"), _DRUNK),
)
_INJECTION: Final = re.compile(
    r"\b(?:injectable|injection|perfusion|parentéral|dialyse|hémo|collyre|buvable|inhalation)"
)


def fitting_units(form: str) -> frozenset[str] | None:
    """The codes of the counts and volumes that go with a form, in the words of the public database; None: form unknown.

    Measures of mass, activity and amount go with any form and are not among them. Where a form has several parts
    (« comprimé et granules »), each part has its own; a part that nothing is known of makes the whole unknown, since a right
    unit must never be refused.
    """
    text = " ".join(form.lower().split())
    found: set[str] = set()
    # « poudre et solvant pour solution injectable »: the powder is given the way the whole is.
    way_of_all = _INJECTION.search(text) is not None
    for part in text.split(" et "):
        named = [units for word, units in _WORDS if word.search(part)]
        made = [units for word, units in _MATTER if word.search(part)]
        if not named and not made:
            return None
        for units in named or ([] if way_of_all else made):
            found |= units
    return frozenset(found) or None


def units_for(form: str, name: str = "") -> tuple[Unit, ...]:
    """The units that a dose of a specialty may be prescribed in.

    What its form or name counts comes first (tablets of a tablet, sachets of a powder in sachets), then volumes, other counts, and
    what goes with any form.
    """
    fitting = fitting_units(form)
    bound = {Kind.COUNT, Kind.VOLUME}
    chosen = [unit for unit in _ALL if unit.kind not in bound or fitting is None or unit.code in fitting]
    words = f"{form} {name}".lower()
    order = {Kind.VOLUME: 1, Kind.COUNT: 2}

    def place(unit: Unit) -> int:
        counted = unit.kind is Kind.COUNT and unit.word.split()[0] in words
        return 0 if counted else order.get(unit.kind, 3)

    return tuple(sorted(chosen, key=place))


def check_dose(quantity: Decimal, unit: str, field: str) -> None:
    """Refuses, at `field`, a dose that nobody can have meant; one in an unknown unit is `check_unit`'s."""
    known = UNITS.get(unit)
    most = _MOST.get(unit, _MOST_COUNTED if known is not None and known.kind is Kind.COUNT else None)
    if known is not None and most is not None and quantity > most:
        raise Refusal(DOSE_TOO_LARGE, field=field, most=most, unit=known.many)


def check_unit(unit: str, form: str, field: str) -> Fit:
    """Refuses, at `field`, a unit that is not listed, or a count or volume that cannot be of this form (« 1 goutte » of tablets).

    `form`: column 3 of CIS_bdpm. A form that the table does not know takes every unit, and the answer says so.
    """
    known = UNITS.get(unit)
    if known is None:
        raise Refusal(DOSE_UNIT_UNKNOWN, field=field, listed=_told(frozenset(UNITS)))
    fitting = fitting_units(form)
    if fitting is None:
        return Fit.FORM_UNKNOWN
    if known.kind in {Kind.COUNT, Kind.VOLUME} and unit not in fitting:
        raise Refusal(DOSE_UNIT_UNFIT, field=field, fitting=_told(fitting))
    return Fit.FITS


def _told(codes: frozenset[str]) -> str:
    """Codes with what they stand for, in the order of the list: « {tbl} (comprimé), mL »."""
    told = (unit for unit in _ALL if unit.code in codes)
    return ", ".join(unit.code if unit.code == unit.one else f"{unit.code} ({unit.one})" for unit in told)
