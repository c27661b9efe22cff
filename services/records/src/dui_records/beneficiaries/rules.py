"""Who somebody is: strict traits, how sure the identity is, and what may change it.

Source: référentiel national d'identitovigilance (RNIV), part 1. The status is never given by a caller; it follows from
a document that was checked and from an answer of INSi that is kept:

| | no INSi answer | INSi answer 00 |
|---|---|---|
| no document | PROVISOIRE | RECUPEREE |
| document checked | VALIDEE | QUALIFIEE |

An identity that is doubted or fictitious is PROVISOIRE, whatever else is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import IntEnum

from dui_kit.days import latest_day
from dui_kit.errors import Code, Reason, Refusal
from dui_kit.identifiers import PartialDate, check_nir, normalise_name, parse_partial_date

#: How far the clock of a device may be ahead of ours.
CLOCK_TOLERANCE = timedelta(minutes=5)
#: Nobody alive was born before; older dates are typing errors.
EARLIEST_BIRTH_YEAR = 1880
ADULT_AGE = 18

NAME_INVALID = Reason(
    "NAME_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Un nom ne contient que des lettres, des espaces, des traits d'union et des apostrophes : corrigez-le.",
    en="A name holds only letters, spaces, hyphens and apostrophes: correct it.",
)
BIRTH_DATE_IN_THE_FUTURE = Reason(
    "BIRTH_DATE_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="La date de naissance est dans le futur : corrigez-la.",
    en="The birth date is in the future: correct it.",
)
BIRTH_DATE_TOO_OLD = Reason(
    "BIRTH_DATE_TOO_OLD",
    Code.INVALID_ARGUMENT,
    fr="La date de naissance est antérieure à {year} : corrigez-la.",
    en="The birth date is before {year}: correct it.",
)
DEATH_BEFORE_BIRTH = Reason(
    "DEATH_BEFORE_BIRTH",
    Code.INVALID_ARGUMENT,
    fr="La date de décès précède la naissance : corrigez l'une ou l'autre.",
    en="The date of death is before the birth: correct either.",
)
DEATH_IN_THE_FUTURE = Reason(
    "DEATH_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="La date de décès est dans le futur : corrigez-la.",
    en="The date of death is in the future: correct it.",
)
NIR_INVALID = Reason(
    "NIR_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Le matricule INS ou sa clé est faux : 13 caractères et une clé de 2 chiffres.",
    en="The national identifier or its key is wrong: 13 characters and a key of 2 digits.",
)
CORRECTION_REASON_REQUIRED = Reason(
    "CORRECTION_REASON_REQUIRED",
    Code.INVALID_ARGUMENT,
    fr="Dites pourquoi un trait strict ou le matricule change : remplissez « reason ».",
    en="Say why a strict trait or the national identifier changes: fill `reason`.",
)
IDENTITY_DOUBTFUL = Reason(
    "IDENTITY_DOUBTFUL",
    Code.FAILED_PRECONDITION,
    fr="L'identité est déclarée douteuse : levez d'abord le doute (« doubtful »).",
    en="The identity is doubted: lift the doubt first (`doubtful`).",
)
IDENTITY_FICTITIOUS = Reason(
    "IDENTITY_FICTITIOUS",
    Code.FAILED_PRECONDITION,
    fr="Une personne fictive ne peut être ni validée ni recherchée dans INSi.",
    en="A fictitious person can be neither validated nor searched in INSi.",
)
IDENTITY_ALREADY_VALIDATED = Reason(
    "IDENTITY_ALREADY_VALIDATED",
    Code.FAILED_PRECONDITION,
    fr="Cette identité est déjà validée sur un document : il n'y a rien à faire.",
    en="This identity was already checked on a document: there is nothing to do.",
)
DOCUMENT_NOT_ENOUGH = Reason(
    "DOCUMENT_NOT_ENOUGH",
    Code.FAILED_PRECONDITION,
    fr="L'acte de naissance ou le livret de famille ne suffit que pour un mineur ou un résident d'EHPAD : "
    "vérifiez une carte d'identité, un passeport ou un titre de séjour.",
    en="A birth certificate or a family book is enough for a minor or a resident of an EHPAD only: "
    "check an identity card, a passport or a residence permit.",
)
CHECK_IN_THE_FUTURE = Reason(
    "CHECK_IN_THE_FUTURE",
    Code.INVALID_ARGUMENT,
    fr="La vérification du document est dans le futur : corrigez son heure.",
    en="The check of the document is in the future: correct its time.",
)
CHECK_BEFORE_BIRTH = Reason(
    "CHECK_BEFORE_BIRTH",
    Code.INVALID_ARGUMENT,
    fr="La vérification du document précède la naissance : corrigez sa date.",
    en="The check of the document is before the birth: correct its date.",
)


class IdentityStatus(IntEnum):
    """How sure an identity is; the values of `dui.records.v1.IdentityStatus`."""

    PROVISOIRE = 1
    RECUPEREE = 2
    VALIDEE = 3
    QUALIFIEE = 4


class IdentityDocument(IntEnum):
    """Documents of high trust; the values of `dui.records.v1.IdentityDocument`."""

    IDENTITY_CARD = 1
    PASSPORT = 2
    RESIDENCE_PERMIT = 3
    BIRTH_CERTIFICATE = 4


@dataclass(frozen=True, slots=True)
class StrictTraits:
    """The traits that identify a person: those of the civil register that INSi knows."""

    birth_name: str
    birth_given_names: tuple[str, ...]
    birth_date: str
    sex: int
    birth_place_code: str | None

    @property
    def born(self) -> PartialDate:
        """The birth date; ValueError when it is not one."""
        return parse_partial_date(self.birth_date)


@dataclass(frozen=True, slots=True)
class NationalIdentifier:
    """NIR or NIA with its key, and the OID that tells which."""

    value: str
    oid: str


@dataclass(frozen=True, slots=True)
class Identity:
    """One version of the identity of a person."""

    traits: StrictTraits
    used_name: str | None = None
    used_given_name: str | None = None
    national_identifier: NationalIdentifier | None = None
    status: IdentityStatus = IdentityStatus.PROVISOIRE
    doubtful: bool = False
    fictitious: bool = False
    died_on: date | None = None
    reason: str | None = None
    #: The INSi answer that RECUPEREE and QUALIFIEE rest on.
    insi_answer_id: str | None = None


def usable_identifier(identity: Identity) -> NationalIdentifier | None:
    """The national identifier where it may be used: of a qualified identity only (RNIV, part 1), whatever was told before."""
    return identity.national_identifier if identity.status is IdentityStatus.QUALIFIEE else None


def tidy_name(name: str) -> str:
    """A name as it was typed, without spaces around it and with single ones inside."""
    return " ".join(name.split())


def is_name(name: str) -> bool:
    """Whether a text can be a name: letters (accents included), spaces, hyphens and apostrophes, one letter at least."""
    return bool(normalise_name(name)) and all(letter.isalpha() or letter in " -'’" for letter in name)


def check_birth_date(born: PartialDate, today: date, *, field: str) -> None:
    """Refuses a birth date of nobody alive: a search by it would find nobody, and a second record would be opened."""
    if born.year < EARLIEST_BIRTH_YEAR:
        raise Refusal(BIRTH_DATE_TOO_OLD, field=field, year=EARLIEST_BIRTH_YEAR)
    if born.earliest > today:
        raise Refusal(BIRTH_DATE_IN_THE_FUTURE, field=field)


def check_identity(identity: Identity, today: date) -> None:
    """Refuses an identity that no person can have. `today`: the latest day that it is anywhere (days.latest_day)."""
    traits = identity.traits
    names = [("birth_name", traits.birth_name)]
    names += [(f"birth_given_names[{index}]", name) for index, name in enumerate(traits.birth_given_names)]
    names += [("used_name", identity.used_name or ""), ("used_given_name", identity.used_given_name or "")]
    for field, name in names:
        if name and not is_name(name):
            raise Refusal(NAME_INVALID, field=f"beneficiary.{field}")
    born = traits.born
    check_birth_date(born, today, field="beneficiary.birth_date")
    if identity.died_on is not None:
        if identity.died_on < born.earliest:
            raise Refusal(DEATH_BEFORE_BIRTH, field="beneficiary.died_on")
        if identity.died_on > today:
            raise Refusal(DEATH_IN_THE_FUTURE, field="beneficiary.died_on")
    if identity.national_identifier is not None and not check_nir(identity.national_identifier.value):
        raise Refusal(NIR_INVALID, field="beneficiary.national_identifier.value")


def opened(identity: Identity, today: date) -> Identity:
    """The first version of an identity: whatever was told, nothing was checked yet."""
    check_identity(identity, today)
    return replace(identity, status=IdentityStatus.PROVISOIRE, insi_answer_id=None)


def changed(before: Identity, after: Identity, today: date) -> Identity:
    """The next version of an identity that a caller changes; the status is ours to decide.

    A strict trait or an identifier that changes is no longer the one that was checked or retrieved. `after.reason` is
    the reason of this change alone.
    """
    check_identity(after, today)
    if after.traits != before.traits or after.national_identifier != before.national_identifier:
        if not (after.reason and after.reason.strip()):
            raise Refusal(CORRECTION_REASON_REQUIRED, field="beneficiary.reason")
        return replace(after, status=IdentityStatus.PROVISOIRE, insi_answer_id=None)
    if after.doubtful or after.fictitious:
        return replace(after, status=IdentityStatus.PROVISOIRE, insi_answer_id=None)
    return replace(after, status=before.status, insi_answer_id=before.insi_answer_id)


def died(identity: Identity, died_on: date, today: date) -> Identity:
    """The next version of the identity of a person whose death is learnt from an exit; a known date is kept."""
    after = replace(identity, died_on=identity.died_on or died_on, reason=None)
    check_identity(after, today)
    return after


def check_trustworthy(identity: Identity) -> None:
    """Refuses to make an identity surer when it is doubted or fictitious (RNIV: such an identity stays PROVISOIRE)."""
    if identity.doubtful:
        raise Refusal(IDENTITY_DOUBTFUL)
    if identity.fictitious:
        raise Refusal(IDENTITY_FICTITIOUS)


def certainly_minor(born: PartialDate, day: date) -> bool:
    """Whether the person is under 18 on `day`, whatever the unknown parts of their birth date."""
    oldest = born.earliest
    age = day.year - oldest.year - ((day.month, day.day) < (oldest.month, oldest.day))
    return age < ADULT_AGE


def validated(
    identity: Identity, document: IdentityDocument, checked_at: datetime, now: datetime, *, in_ehpad: bool = False
) -> Identity:
    """The next version of an identity that was checked on a document.

    A birth certificate or a family book is accepted for a minor, and for a resident of an EHPAD (`in_ehpad`; RNIV,
    special cases).
    """
    check_trustworthy(identity)
    born = identity.traits.born
    if checked_at > now + CLOCK_TOLERANCE:
        raise Refusal(CHECK_IN_THE_FUTURE, field="checked_at")
    # The latest day that it was anywhere at that instant: nobody is refused on the day of a birth.
    checked_on = latest_day(checked_at)
    if checked_on < born.earliest:
        raise Refusal(CHECK_BEFORE_BIRTH, field="checked_at")
    if document is IdentityDocument.BIRTH_CERTIFICATE and not (in_ehpad or certainly_minor(born, checked_on)):
        raise Refusal(DOCUMENT_NOT_ENOUGH, field="document")
    match identity.status:
        case IdentityStatus.PROVISOIRE:
            status = IdentityStatus.VALIDEE
        case IdentityStatus.RECUPEREE:
            status = IdentityStatus.QUALIFIEE
        case IdentityStatus.VALIDEE | IdentityStatus.QUALIFIEE:
            raise Refusal(IDENTITY_ALREADY_VALIDATED)
    return replace(identity, status=status, reason=None)
