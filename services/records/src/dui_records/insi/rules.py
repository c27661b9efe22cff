"""What an answer of INSi does to an identity, and nothing else can do.

Source: RNIV part 1 (recherche et vérification de l'identité INS). 00: one identity was found, its strict traits replace
the local ones and the identifier comes with them. 01: none was found; an identity that rested on an earlier answer no
longer does. 02: several were found; nothing is learnt.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from dui_kit.errors import Code, Reason, Refusal
from dui_kit.identifiers import check_nir, normalise_name

from dui_records.beneficiaries.rules import (
    Identity,
    IdentityStatus,
    NationalIdentifier,
    StrictTraits,
    check_trustworthy,
)

INSI_NOT_CONNECTED = Reason(
    "INSI_NOT_CONNECTED",
    Code.FAILED_PRECONDITION,
    fr="La plateforme n'est pas encore raccordée à INSi : validez l'identité sur un document.",
    en="The platform is not connected to INSi yet: check the identity on a document.",
)
INSI_TRAITS_INCOMPLETE = Reason(
    "INSI_TRAITS_INCOMPLETE",
    Code.FAILED_PRECONDITION,
    fr="INSi demande une date de naissance complète et le sexe : complétez l'identité.",
    en="INSi asks for a whole birth date and the sex: complete the identity.",
)
INSI_ANSWER_INVALID = Reason(
    "INSI_ANSWER_INVALID",
    Code.UNAVAILABLE,
    fr="INSi a donné une réponse inutilisable : réessayez plus tard.",
    en="INSi gave an answer that cannot be used: try again later.",
)


class InsiCode(StrEnum):
    """What INSi found."""

    ONE = "00"
    NONE = "01"
    SEVERAL = "02"


@dataclass(frozen=True, slots=True)
class InsiAnswer:
    """An answer of INSi. `traits` and `identifier` are set with 00, and only then."""

    code: InsiCode
    reference: str
    traits: StrictTraits | None = None
    identifier: NationalIdentifier | None = None


def evidence(answer: InsiAnswer) -> dict[str, object] | None:
    """What is kept of the identity that an answer gives; None when it gives none."""
    if answer.traits is None or answer.identifier is None:
        return None
    return {"traits": asdict(answer.traits), "identifier": asdict(answer.identifier)}


def check_askable(identity: Identity) -> None:
    """Refuses to ask INSi about an identity that is doubted, fictitious or too incomplete to be found."""
    check_trustworthy(identity)
    if identity.traits.born.day is None or not identity.traits.sex:
        raise Refusal(INSI_TRAITS_INCOMPLETE)


def answered(identity: Identity, answer: InsiAnswer, answer_id: str) -> Identity:
    """The identity after an answer of INSi; the same object when the answer changes nothing."""
    check_trustworthy(identity)
    match answer.code:
        case InsiCode.ONE:
            return _found(identity, answer, answer_id)
        case InsiCode.NONE:
            return _not_found(identity)
        case InsiCode.SEVERAL:
            return identity


def _found(identity: Identity, answer: InsiAnswer, answer_id: str) -> Identity:
    if answer.traits is None or answer.identifier is None or not check_nir(answer.identifier.value):
        raise Refusal(INSI_ANSWER_INVALID)
    same = _same_traits(identity.traits, answer.traits)
    match identity.status:
        case IdentityStatus.VALIDEE | IdentityStatus.QUALIFIEE if same:
            status = IdentityStatus.QUALIFIEE
        case _:
            # The document was checked against other traits than those of INSi: it has to be checked again.
            status = IdentityStatus.RECUPEREE
    return replace(
        identity,
        traits=answer.traits,
        national_identifier=answer.identifier,
        status=status,
        reason=None,
        insi_answer_id=answer_id,
    )


def _not_found(identity: Identity) -> Identity:
    match identity.status:
        case IdentityStatus.QUALIFIEE:
            status = IdentityStatus.VALIDEE
        case IdentityStatus.RECUPEREE:
            status = IdentityStatus.PROVISOIRE
        case IdentityStatus.VALIDEE | IdentityStatus.PROVISOIRE:
            return identity
    return replace(identity, national_identifier=None, status=status, reason=None, insi_answer_id=None)


def _same_traits(ours: StrictTraits, theirs: StrictTraits) -> bool:
    """Whether a document checked for `ours` holds for `theirs`: accents, case and hyphens aside, and a birth place that
    we did not know is not a difference."""
    return (
        normalise_name(ours.birth_name) == normalise_name(theirs.birth_name)
        and [normalise_name(name) for name in ours.birth_given_names]
        == [normalise_name(name) for name in theirs.birth_given_names]
        and ours.birth_date == theirs.birth_date
        and ours.sex == theirs.sex
        and (ours.birth_place_code is None or ours.birth_place_code == theirs.birth_place_code)
    )
