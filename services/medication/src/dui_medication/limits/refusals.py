"""What is said of a prescription that the law limits: refusals, and warnings that refuse nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dui_kit.errors import Code, Reason

PRESCRIPTION_END_MISSING = Reason(
    "PRESCRIPTION_END_MISSING",
    Code.INVALID_ARGUMENT,
    fr="La durée de ce médicament est limitée : indiquez la date de fin du traitement.",
    en="The duration of this medicine is limited: say on which day the treatment ends.",
)
PRESCRIPTION_DAYS_EXCEEDED = Reason(
    "PRESCRIPTION_DAYS_EXCEEDED",
    Code.INVALID_ARGUMENT,
    fr="Ce médicament se prescrit pour {days} jours au plus, renouvellements compris : avancez la fin ou renouvelez moins.",
    en="This medicine is prescribed for {days} days at most, renewals included: end it earlier or renew it fewer times.",
)
PRESCRIPTION_MONTHS_EXCEEDED = Reason(
    "PRESCRIPTION_MONTHS_EXCEEDED",
    Code.INVALID_ARGUMENT,
    fr="Ce médicament se prescrit pour {months} mois au plus, renouvellements compris : avancez la fin ou renouvelez moins.",
    en="This medicine is prescribed for {months} months at most, renewals included: end it earlier or renew it fewer times.",
)
NARCOTIC_NOT_RENEWABLE = Reason(
    "NARCOTIC_NOT_RENEWABLE",
    Code.INVALID_ARGUMENT,
    fr="Un stupéfiant ne se renouvelle pas : mettez 0 renouvellement et faites une nouvelle prescription à la fin de celle-ci.",
    en="A narcotic is not renewed: put 0 renewals, and prescribe it anew when this prescription ends.",
)
RENEWAL_WITHOUT_END = Reason(
    "RENEWAL_WITHOUT_END",
    Code.INVALID_ARGUMENT,
    fr="Un renouvellement répète une période : indiquez la date de fin, ou retirez les renouvellements.",
    en="A renewal repeats a period: say on which day it ends, or remove the renewals.",
)
NARCOTIC_OVERLAPS = Reason(
    "NARCOTIC_OVERLAPS",
    Code.FAILED_PRECONDITION,
    fr=(
        "Une autre prescription de stupéfiant couvre déjà une partie de cette période : arrêtez-la, commencez après elle,"
        " ou portez la mention expresse du chevauchement."
    ),
    en=(
        "Another prescription of a narcotic covers a part of this period already: stop it, begin after it, or state expressly"
        " that they overlap."
    ),
)
RESTRICTION_BASIS_MISSING = Reason(
    "RESTRICTION_BASIS_MISSING",
    Code.INVALID_ARGUMENT,
    fr="La prescription de ce médicament est réservée : indiquez à quel titre il est prescrit, comme ses conditions le permettent.",
    en="Prescribing this medicine is reserved: say on which ground it is prescribed, among those that its conditions allow.",
)
RESTRICTION_BASIS_INSUFFICIENT = Reason(
    "RESTRICTION_BASIS_INSUFFICIENT",
    Code.INVALID_ARGUMENT,
    fr="Les conditions de ce médicament ne permettent pas de le prescrire à ce titre : choisissez-en un autre qu'elles permettent.",
    en="The conditions of this medicine do not allow to prescribe it on this ground: choose another that they allow.",
)
RESTRICTION_TEXT_MISSING = Reason(
    "RESTRICTION_TEXT_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Précisez le titre de cette prescription réservée : spécialité, ou auteur, service et date de la prescription d'origine.",
    en="Detail the ground of this reserved prescription: specialty, or author, department and date of the original one.",
)
WEIGHT_MISSING = Reason(
    "WEIGHT_MISSING",
    Code.FAILED_PRECONDITION,
    fr="Avant 18 ans, la prescription demande un poids daté : pesez la personne et enregistrez le poids avec sa date.",
    en="Below 18 years, a prescription needs a dated weight: weigh the person and record the weight with its date.",
)
WEIGHT_IN_FUTURE = Reason(
    "WEIGHT_IN_FUTURE",
    Code.FAILED_PRECONDITION,
    fr="La date de la pesée est dans l'avenir : corrigez-la.",
    en="The date of the weighing is in the future: correct it.",
)
WEIGHT_OUTDATED = Reason(
    "WEIGHT_OUTDATED",
    Code.FAILED_PRECONDITION,
    fr="À cet âge, le poids doit dater de {days} jours au plus : pesez la personne de nouveau.",
    en="At this age, the weight may be {days} days old at most: weigh the person again.",
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: it refuses nothing. Texts as those of a `Reason`, which the platform lists as refusals."""

    name: str
    fr: str
    en: str


OPEN_ENDED = Notice(
    "OPEN_ENDED",
    fr="Sans date de fin, la prescription ne vaut que 12 mois : prévoyez de la revoir avant.",
    en="Without an end the prescription holds for 12 months only: plan to review it before.",
)
SHORTER_LIMIT = Notice(
    "SHORTER_LIMIT",
    fr="Selon la voie ou la forme, la limite est plus courte : « {condition} ».",
    en="By route or form, the limit is shorter: “{condition}”.",
)
NARCOTIC_OVERLAP = Notice(
    "NARCOTIC_OVERLAP",
    fr="Une autre prescription de stupéfiant est en cours sur cette période : vérifiez qu'aucune dose n'est donnée deux fois.",
    en="Another prescription of a narcotic runs in this period: check that no dose is given twice.",
)
SAME_NARCOTIC_OVERLAP = Notice(
    "SAME_NARCOTIC_OVERLAP",
    fr="La même substance est déjà prescrite sur cette période : vérifiez qu'aucune dose n'est donnée deux fois.",
    en="The same substance is prescribed in this period already: check that no dose is given twice.",
)
HOSPITAL_USE_ONLY = Notice(
    "HOSPITAL_USE_ONLY",
    fr="Réservé à l'usage hospitalier : il se donne pendant une hospitalisation, à domicile comprise, et pas autrement.",
    en="Reserved to hospital use: it is given during a stay in hospital or hospital care at home, and not otherwise.",
)
RENEWAL_UNCLEAR = Notice(
    "RENEWAL_UNCLEAR",
    fr="Les conditions ne disent pas qui peut renouveler : vérifiez que ce n'est pas réservé aux spécialistes.",
    en="The conditions do not say who may renew: check that it is not reserved to specialists.",
)
INITIAL_PERIOD = Notice(
    "INITIAL_PERIOD",
    fr="La prescription initiale permet de renouveler pendant {months} mois : vérifiez sa date.",
    en="The initial prescription allows to renew for {months} months: check its date.",
)
CONDITION_TO_MEET = Notice("CONDITION_TO_MEET", fr="À respecter : « {condition} ».", en="To be met: “{condition}”.")
CONDITION_UNKNOWN = Notice(
    "CONDITION_UNKNOWN",
    fr="Condition que le logiciel ne sait pas lire, à vérifier : « {condition} ».",
    en="A condition that the software cannot read, to be checked: “{condition}”.",
)
AGE_UNKNOWN = Notice(
    "AGE_UNKNOWN",
    fr="Date de naissance inconnue : si la personne a moins de 18 ans, vérifiez son poids et les doses.",
    en="Date of birth unknown: if the person is below 18, check the weight and the doses.",
)
#: For whoever shows a dose per kilogram that `weights.dose_per_kg` could not compute.
DOSE_PER_KG_UNKNOWN = Notice(
    "DOSE_PER_KG_UNKNOWN",
    fr="La dose par kilogramme n'a pas pu être calculée : vérifiez-la.",
    en="The dose per kilogram could not be computed: check it.",
)
