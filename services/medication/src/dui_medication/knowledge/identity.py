"""Under which names a substance can be recognised: as it is written, barer and barer, its acid, and what reviewed synonyms add."""

from __future__ import annotations

from collections.abc import Iterable

from dui_medication.knowledge.names import acid_of, acid_of_mineral_salt, barer, canonical, is_mineral, is_readable
from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.thesaurus import Thesaurus


def forms_of_name(name: str, thesaurus: Thesaurus | None) -> frozenset[str]:
    """The canonical names that a name stands for; empty when it cannot be read. Two names that share one are one substance.

    Names of classes are none of them: a thesaurus has « AINS » beside the substances, and it is no substance.
    """
    if not is_readable(name):
        return frozenset()
    found = set(_barer_and_acids(canonical(name)))
    if thesaurus is not None:
        for form in tuple(found):
            found |= thesaurus.named(form) & thesaurus.substances
            for meant in thesaurus.synonyms.get(form, ()):
                found |= _barer_and_acids(meant)
    return frozenset(found)


def forms_of(substances: Iterable[Substance], thesaurus: Thesaurus | None) -> frozenset[str]:
    """The canonical names of substances, under all the names of each."""
    return frozenset(form for one in substances for name in one.names for form in forms_of_name(name, thesaurus))


def telling(forms: frozenset[str]) -> frozenset[str]:
    """The forms that tell a substance from others: a mineral does not, unless there is nothing else.

    Potassium clavulanate and potassium chloride share potassium, and no allergy.
    """
    return frozenset(form for form in forms if not is_mineral(form)) or forms


def is_known(form: str, thesaurus: Thesaurus) -> bool:
    """Whether a canonical name is that of a substance, to this edition or to the reviewed synonyms."""
    return form in thesaurus.substances or form in thesaurus.families or form in thesaurus.synonyms


def _barer_and_acids(form: str) -> set[str]:
    bare = {form, *barer(form)} - {""}
    return bare | {acid for one in bare for acid in (acid_of(one), acid_of_mineral_salt(one)) if acid is not None}
