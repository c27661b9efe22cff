"""National identifiers, partial dates and names: pure rules, no I/O.

Sources: INSEE (NIR and its key), ANS (RPPS, INS), DREES (FINESS), RNIV (names). Where `python-stdnum` knows the number
it is used; it has neither FINESS nor RPPS. A check answers about the canonical form only (no spaces, capitals): what
is stored is what was checked.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final

from stdnum import ean, luhn
from stdnum.fr import nir, siren, siret

# Sex (3, 4: being registered; 7, 8: temporary), year, month, department, commune, order, key. The month is not bounded:
# 20-42 and 50 onwards mean that the month of birth is not known.
_NIR: Final = re.compile(r"[1-478][0-9]{4}(?:[0-9]{2}|2[AB])[0-9]{8}", re.ASCII)
_NIR_BODY: Final = re.compile(r"[1-478][0-9]{4}(?:[0-9]{2}|2[AB])[0-9]{6}", re.ASCII)
_FINESS: Final = re.compile(r"(?!00)(?:[0-9]{2}|2[AB])[0-9]{7}", re.ASCII)
_RPPS: Final = re.compile(r"(?!0{11})[0-9]{11}", re.ASCII)
_CIS: Final = re.compile(r"[0-9]{8}", re.ASCII)
# 3400 is what French medicines begin with; the last digit is a key.
_CIP13: Final = re.compile(r"3400[0-9]{9}", re.ASCII)
_SIREN: Final = re.compile(r"(?!0{9})[0-9]{9}(?:[0-9]{5})?", re.ASCII)
_PARTIAL_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?", re.ASCII)

_FINESS_CORSICA: Final = str.maketrans("AB", "12")
# Letters that Unicode does not decompose into a letter and an accent.
_LETTERS: Final = str.maketrans({"Œ": "OE", "Æ": "AE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "ẞ": "SS"})
_NOT_A_NAME: Final = re.compile(r"[\W_]+")


def nir_key(body: str) -> str:
    """The two digits that follow the 13 characters of a NIR or of a NIA: 97 - (N mod 97), 2A read as 19 and 2B as 18.

    Raises ValueError when `body` has not the shape of the 13 characters.
    """
    if not _NIR_BODY.fullmatch(body):
        message = "a NIR has 13 characters before its key"
        raise ValueError(message)
    return str(nir.calc_check_digits(body))


def check_nir(value: str) -> bool:
    """Whether `value` is a well-formed NIR or NIA: 13 characters and the key that belongs to them, without spaces.

    Nothing tells a NIR from a NIA in its digits: their OID does.
    """
    return _NIR.fullmatch(value) is not None and nir_key(value[:13]) == value[13:]


def check_finess(value: str) -> bool:
    """Whether `value` is a well-formed FINESS number: 9 characters, the last one a Luhn digit.

    In Corsica the letter of the department counts as a digit, A as 1 and B as 2.
    """
    return _FINESS.fullmatch(value) is not None and bool(luhn.is_valid(value.translate(_FINESS_CORSICA)))


def check_rpps(value: str) -> bool:
    """Whether `value` is a well-formed RPPS number: 11 digits, the last one a Luhn digit."""
    return _RPPS.fullmatch(value) is not None and bool(luhn.is_valid(value))


def check_cis(value: str) -> bool:
    """Whether `value` has the shape of a CIS, the code of a pharmaceutical specialty: 8 digits, without a key."""
    return _CIS.fullmatch(value) is not None


def check_cip13(value: str) -> bool:
    """Whether `value` is a well-formed CIP13, the code of a box of a medicine: 13 digits, the last one the key of EAN-13."""
    return _CIP13.fullmatch(value) is not None and bool(ean.is_valid(value))


def check_siren(value: str) -> bool:
    """Whether `value` is a well-formed SIREN (9 digits) or SIRET (14 digits)."""
    if not _SIREN.fullmatch(value):
        return False
    return bool(siren.is_valid(value) if len(value) == 9 else siret.is_valid(value))


def normalise_name(text: str) -> str:
    """The key by which names are sorted and searched: capitals without accents, words apart by one space.

    Hyphens and apostrophes are spaces, so that `Jean-Pierre` and `JEAN PIERRE`, `D'Almeida` and `D Almeida` meet.
    Compatible characters are folded (a ligature is its letters); a letter of another script stays as it is.
    """
    capitals = unicodedata.normalize("NFKD", text).upper()
    letters = "".join(
        character
        for character in unicodedata.normalize("NFKD", capitals).translate(_LETTERS)
        if not unicodedata.category(character).startswith("M")
    )
    return _NOT_A_NAME.sub(" ", letters).strip()


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date of which the day, or the day and the month, may be unknown, as civil status sometimes leaves it."""

    year: int
    month: int | None
    day: int | None

    @property
    def earliest(self) -> date:
        """The first day that it can be."""
        return date(self.year, self.month or 1, self.day or 1)

    @property
    def latest(self) -> date:
        """The last day that it can be."""
        month = self.month or 12
        return date(self.year, month, self.day or calendar.monthrange(self.year, month)[1])

    def __str__(self) -> str:
        """As it is written: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`."""
        parts = (f"{self.year:04d}", *(f"{part:02d}" for part in (self.month, self.day) if part is not None))
        return "-".join(parts)


def parse_partial_date(text: str) -> PartialDate:
    """Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; raises ValueError on any other shape or on a day that does not exist."""
    found = _PARTIAL_DATE.fullmatch(text)
    if found is None:
        message = "a partial date is YYYY, YYYY-MM or YYYY-MM-DD"
        raise ValueError(message)
    year = int(found[1])
    month, day = (None if part is None else int(part) for part in found.group(2, 3))
    # `or 1` would let month 00 and day 00 pass for "unknown": the calendar is asked with what was written.
    date(year, 1 if month is None else month, 1 if day is None else day)
    return PartialDate(year, month, day)
