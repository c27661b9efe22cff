"""Rules of associations, facilities and units."""

from __future__ import annotations

from functools import cache
from typing import Final
from zoneinfo import available_timezones

from dui_kit.errors import Code, Reason, Refusal

#: Categories of establishments and services of the FINESS register (nomenclature TRE_R66, value set JDV_J254), those
#: that the code of social action and families covers.
FINESS_CATEGORIES: Final[dict[str, str]] = {
    "177": "Maison d'enfants à caractère social (MECS)",
    "182": "Service d'éducation spéciale et de soins à domicile (SESSAD)",
    "183": "Institut médico-éducatif (IME)",
    "186": "Institut thérapeutique, éducatif et pédagogique (ITEP)",
    "188": "Établissement pour enfants ou adolescents polyhandicapés",
    "189": "Centre médico-psycho-pédagogique (CMPP)",
    "190": "Centre d'action médico-sociale précoce (CAMSP)",
    "192": "Institut d'éducation motrice (IEM)",
    "194": "Institut pour déficients visuels",
    "195": "Institut pour déficients auditifs",
    "196": "Institut d'éducation sensorielle pour enfants sourds et aveugles",
    "209": "Service autonomie aide et soins (SAAS)",
    "221": "Bureau d'aide psychologique universitaire (BAPU)",
    "238": "Centre d'accueil familial spécialisé (CAFS)",
    "242": "Service d'activité de jour",
    "246": "Établissement ou service d'aide par le travail (ESAT)",
    "255": "Maison d'accueil spécialisée (MAS)",
    "354": "Service de soins infirmiers à domicile (SSIAD)",
    "390": "Établissement d'accueil temporaire d'enfants handicapés",
    "395": "Établissement d'accueil temporaire pour adultes handicapés",
    "396": "Foyer d'hébergement pour enfants et adolescents handicapés",
    "437": "Foyer d'accueil médicalisé pour adultes handicapés (FAM)",
    "445": "Service d'accompagnement médico-social pour adultes handicapés (SAMSAH)",
    "446": "Service d'accompagnement à la vie sociale (SAVS)",
    "448": "Établissement d'accueil médicalisé pour personnes handicapées (EAM)",
    "449": "Établissement d'accueil non médicalisé pour personnes handicapées (EANM)",
    "460": "Service autonomie aide (SAA)",
    "500": "Établissement d'hébergement pour personnes âgées dépendantes (EHPAD)",
    "640": "Service autonomie aide à domicile et aux familles (SAA)",
}

CATEGORY_CODE_UNKNOWN = Reason(
    "CATEGORY_CODE_UNKNOWN",
    Code.INVALID_ARGUMENT,
    fr="Catégorie FINESS inconnue. Codes acceptés : {codes}.",
    en="Unknown FINESS category. Accepted codes: {codes}.",
)
TIME_ZONE_UNKNOWN = Reason(
    "TIME_ZONE_UNKNOWN",
    Code.INVALID_ARGUMENT,
    fr="Fuseau horaire inconnu : donnez un nom de la base IANA, par exemple Europe/Paris ou Indian/Reunion.",
    en="Unknown time zone: give a name of the IANA database, such as Europe/Paris or Indian/Reunion.",
)
NAME_BLANK = Reason(
    "NAME_BLANK", Code.INVALID_ARGUMENT, fr="Donnez un nom qui ne soit pas vide.", en="Give a name that is not blank."
)
SLUG_TAKEN = Reason(
    "SLUG_TAKEN",
    Code.ALREADY_EXISTS,
    fr="Cet identifiant d'association est déjà pris : choisissez-en un autre.",
    en="Another association has this slug: choose another one.",
)
FINESS_TAKEN = Reason(
    "FINESS_TAKEN",
    Code.ALREADY_EXISTS,
    fr="Un établissement de l'association porte déjà ce numéro FINESS : modifiez-le plutôt.",
    en="A facility of the association already has this FINESS number: change that one instead.",
)
UNIT_NAME_TAKEN = Reason(
    "UNIT_NAME_TAKEN",
    Code.ALREADY_EXISTS,
    fr="Une unité de l'établissement porte déjà ce nom : choisissez-en un autre.",
    en="A unit of the facility already has this name: choose another one.",
)


def category_label(code: str) -> str:
    """French name of a FINESS category; Refusal when the register has no such code."""
    try:
        return FINESS_CATEGORIES[code]
    except KeyError:
        raise Refusal(
            CATEGORY_CODE_UNKNOWN, field="facility.category_code", codes=", ".join(sorted(FINESS_CATEGORIES))
        ) from None


def check_time_zone(name: str) -> None:
    """Refuses what is not the zone of a place (`Area/Location`): local times of doses and rounds are computed with it.

    `UTC`, `CET` or `Etc/GMT-4` have no clock changes of a place, or the wrong ones.
    """
    if "/" not in name or name.startswith("Etc/") or name not in _time_zones():
        raise Refusal(TIME_ZONE_UNKNOWN, field="facility.time_zone")


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def clean_name(name: str, *, field: str) -> str:
    """The name with single spaces; Refusal when nothing is left."""
    cleaned = " ".join(name.split())
    if not cleaned:
        raise Refusal(NAME_BLANK, field=field)
    return cleaned
