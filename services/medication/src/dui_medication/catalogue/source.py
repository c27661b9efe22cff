"""Reading the files of the public database of medicines (BDPM) into specialties.

The files, as the agency publishes them: tab separated, no header, no quotes, `;` inside a cell with several values, dates
DD/MM/YYYY; Windows-1252 until 2025, UTF-8 since; LF or CRLF; trailing tabs and blank lines occur. Each may be gzipped.
Source: https://base-donnees-publique.medicaments.gouv.fr/telechargement (licence ouverte 2.0).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

from dui.medication.v1 import catalogue_pb2 as pb
from dui_kit.identifiers import check_cip13

from dui_medication.catalogue.rules import Source, conditions_of

#: Name of each file without its ending, and how many columns its rows have at least. Empty columns at the end of a row may lack.
FILES: Final = {
    "CIS_bdpm": 11,
    "CIS_CIP_bdpm": 7,
    "CIS_COMPO_bdpm": 8,
    "CIS_GENER_bdpm": 4,
    "CIS_CPD_bdpm": 2,
    "CIS_MITM": 2,
    "CIS_CIP_Dispo_Spec": 6,
}
#: The file without which there is no catalogue of fewer specialties than so many; a truncated download has fewer.
LEAST_SPECIALTIES: Final = 10_000
#: The fictive formulary, in the form of the official files, and the day that it says it is of. The mark is the file that makes a
#: folder fictive.
FORMULARY: Final = Path(__file__).parent / "formulary"
FICTIVE_EDITION: Final = date(2026, 1, 28)
FICTIVE_MARK: Final = "FICTIF"

_CIS = re.compile(r"\d{8}")
_ATC = re.compile(r"[A-V]\d\d[A-Z]{2}\d\d")
_GENERIC_KINDS = {
    "0": pb.GENERIC_KIND_REFERENCE,
    "1": pb.GENERIC_KIND_GENERIC,
    "2": pb.GENERIC_KIND_COMPLEMENTARY,
    # Descriptions of the file name 3, the file has 4: both are accepted.
    "3": pb.GENERIC_KIND_SUBSTITUTABLE,
    "4": pb.GENERIC_KIND_SUBSTITUTABLE,
}
_SHORTAGE_KINDS = {
    "1": pb.SHORTAGE_KIND_OUT_OF_STOCK,
    "2": pb.SHORTAGE_KIND_TENSION,
    "3": pb.SHORTAGE_KIND_DISCONTINUED,
    "4": pb.SHORTAGE_KIND_AVAILABLE_AGAIN,
}


class SourceError(Exception):
    """A file that cannot be read as the public database; the text names the file, the line and what to do."""


@dataclass(slots=True)
class Catalogue:
    """Everything that an edition has."""

    source: Source
    published_on: date
    #: By CIS, in the order of the codes.
    specialties: dict[str, pb.Specialty]
    #: Rows about specialties that the edition does not have, by file: old ones, which some files keep.
    unknown: dict[str, int] = field(default_factory=dict)

    @property
    def presentations(self) -> int:
        """How many boxes."""
        return sum(len(each.presentations) for each in self.specialties.values())

    @property
    def digest(self) -> bytes:
        """The same for the same content, whatever the order and the encoding of the files."""
        made = blake2b(digest_size=16)
        for cis, specialty in self.specialties.items():
            made.update(cis.encode())
            made.update(digest_of(specialty))
        return made.digest()


def digest_of(specialty: pb.Specialty) -> bytes:
    """The same for the same content."""
    return blake2b(specialty.SerializeToString(deterministic=True), digest_size=16).digest()


def read(folder: Path, published_on: date, told: Callable[[str], None] = lambda _: None) -> Catalogue:
    """Reads an edition out of its seven files in a folder; SourceError when one is missing, damaged or not what it should be.

    Args:
        published_on: day of the edition; no file of the official ones says it.
        told: hears what is being read.
    """
    files = {name: _Rows(folder, name, columns) for name, columns in FILES.items()}
    catalogue = Catalogue(_source_of(folder), published_on, {})
    told("specialties")
    for row in files["CIS_bdpm"]:
        cis = row.cis()
        if cis in catalogue.specialties:
            raise row.wrong(f"the specialty {cis} stands twice")
        catalogue.specialties[cis] = _specialty(row, fictive=catalogue.source is Source.FICTIVE)
    if catalogue.source is Source.BDPM and len(catalogue.specialties) < LEAST_SPECIALTIES:
        raise SourceError(
            f"CIS_bdpm has {len(catalogue.specialties)} specialties where the public database has more than {LEAST_SPECIALTIES}:"
            " it is truncated, fetch it again"
        )
    for name, add in _ADDED.items():
        told(name)
        grouped: dict[str, list[_Row]] = defaultdict(list)
        for row in files[name]:
            grouped[row.cis(at=2 if name == "CIS_GENER_bdpm" else 0)].append(row)
        known = [cis for cis in grouped if cis in catalogue.specialties]
        catalogue.unknown[name] = sum(len(rows) for cis, rows in grouped.items() if cis not in catalogue.specialties)
        if grouped and not known:
            raise SourceError(
                f"{name} speaks of none of the specialties of CIS_bdpm: the files are of different editions"
            )
        for cis in known:
            add(catalogue.specialties[cis], grouped[cis])
    newest = max((row.day(5) or date.min for row in files["CIS_CIP_Dispo_Spec"]), default=date.min)
    if newest > published_on:
        raise SourceError(
            f"CIS_CIP_Dispo_Spec has news of {newest}: the edition is not that of {published_on}, check --edition"
        )
    catalogue.specialties = dict(sorted(catalogue.specialties.items()))
    return catalogue


# ----------------------------------------------------------------------------------------------------------------- files


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file."""

    file: str
    number: int
    cells: Sequence[str]

    def wrong(self, what: str) -> SourceError:
        return SourceError(f"{self.file}, line {self.number}: {what}")

    def cell(self, at: int) -> str:
        return self.cells[at].strip() if at < len(self.cells) else ""

    def cis(self, at: int = 0) -> str:
        code = self.cell(at)
        if not _CIS.fullmatch(code):
            raise self.wrong(f"{code[:20]!r} is no CIS code (8 digits): the columns are not those of {self.file}")
        return code

    def several(self, at: int) -> list[str]:
        return [part.strip() for part in self.cell(at).split(";") if part.strip()]

    def day(self, at: int) -> date | None:
        text = self.cell(at)
        if not text:
            return None
        try:
            return datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=UTC).date()
        except ValueError:
            raise self.wrong(f"{text[:20]!r} is no date DD/MM/YYYY") from None


class _Rows:
    """The rows of one file of the folder, read once."""

    def __init__(self, folder: Path, name: str, columns: int) -> None:
        self._name = name
        self._rows = list(self._parse(_text(folder, name), columns))

    def __iter__(self) -> Iterator[_Row]:
        return iter(self._rows)

    def _parse(self, text: str, columns: int) -> Iterator[_Row]:
        for number, line in enumerate(text.split("\n"), 1):
            stripped = line.rstrip("\r")
            if not stripped.strip():
                continue
            row = _Row(self._name, number, stripped.split("\t"))
            # Tabs at the end may have been lost with empty cells; a line cut in the middle has fewer cells and no last value.
            if len(row.cells) < columns:
                raise row.wrong(
                    f"{len(row.cells)} columns where at least {columns} are expected: is the file truncated?"
                )
            yield row


def _text(folder: Path, name: str) -> str:
    """The text of a file, gzipped or plain, in the one of its two encodings that it can be in."""
    found = [path for path in (folder / f"{name}.txt", folder / f"{name}.txt.gz") if path.is_file()]
    if not found:
        raise SourceError(f"{name}.txt (or {name}.txt.gz) is not in {folder}: an edition has {', '.join(FILES)}")
    data = found[0].read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise SourceError(f"{found[0].name} is damaged or truncated: fetch it again") from None
    if not data.strip():
        raise SourceError(f"{found[0].name} is empty: fetch it again")
    if b"\0" in data:
        raise SourceError(f"{found[0].name} is no text: fetch it again")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise SourceError(f"{found[0].name} is neither UTF-8 nor Windows-1252 (byte {error.start})") from None


def _source_of(folder: Path) -> Source:
    return Source.FICTIVE if (folder / FICTIVE_MARK).is_file() else Source.BDPM


# --------------------------------------------------------------------------------------------------------------- columns


def _specialty(row: _Row, *, fictive: bool) -> pb.Specialty:
    if not row.cell(1):
        raise row.wrong("a specialty has no name")
    return pb.Specialty(
        cis=row.cis(),
        name=row.cell(1),
        form=row.cell(2),
        routes=row.several(3),
        authorised=row.cell(4) == "Autorisation active",
        homeopathic=row.cell(5).startswith("Enreg homéo"),
        marketed=row.cell(6) == "Commercialisée",
        holders=row.several(10),
        additional_monitoring=row.cell(11) == "Oui",
        fictive=fictive,
    )


def _add_components(specialty: pb.Specialty, rows: Sequence[_Row]) -> None:
    """Folds active moieties (FT, fraction thérapeutique) into the substances (SA) that have the same link number."""
    substances: list[tuple[tuple[str, str], _Row]] = []
    moieties: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in rows:
        link = (row.cell(1), row.cell(7))
        match row.cell(6):
            case "SA":
                substances.append((link, row))
            case "FT":
                moieties[link].append(row)
            case other:
                raise row.wrong(f"{other[:20]!r} is neither SA nor FT")
    for link, row in substances:
        specialty.components.append(
            pb.Component(
                element=row.cell(1),
                substance_code=row.cell(2),
                substance=row.cell(3),
                strength=row.cell(4),
                per=row.cell(5),
                moieties=[
                    pb.Moiety(substance_code=each.cell(2), substance=each.cell(3), strength=each.cell(4))
                    for each in moieties[link]
                ],
            )
        )


def _add_presentations(specialty: pb.Specialty, rows: Sequence[_Row]) -> None:
    for row in sorted(rows, key=lambda row: row.cell(6)):
        if not check_cip13(row.cell(6)):
            raise row.wrong(f"{row.cell(6)[:20]!r} is no CIP13 code (13 digits with a right check digit)")
        specialty.presentations.append(
            pb.Presentation(
                cip13=row.cell(6),
                label=row.cell(2),
                marketed=row.cell(3) == "Présentation active" and row.cell(4) == "Déclaration de commercialisation",
            )
        )


def _add_generic_groups(specialty: pb.Specialty, rows: Sequence[_Row]) -> None:
    for row in sorted(rows, key=lambda row: (row.cell(0), row.cell(3))):
        kind = _GENERIC_KINDS.get(row.cell(3))
        if kind is None:
            raise row.wrong(f"{row.cell(3)[:20]!r} is no kind of generic (0 to 4)")
        specialty.generic_groups.append(pb.GenericGroup(group_number=row.cell(0), label=row.cell(1), kind=kind))


def _add_conditions(specialty: pb.Specialty, rows: Sequence[_Row]) -> None:
    texts = list(dict.fromkeys(row.cell(1) for row in rows if row.cell(1)))
    specialty.conditions.extend(texts)
    found = conditions_of(texts)
    specialty.poison_list = pb.PoisonList.ValueType(found.poison_list)
    specialty.secured_prescription = found.secured
    if found.max_duration:
        specialty.max_duration = found.max_duration


def _add_atc_code(specialty: pb.Specialty, rows: Sequence[_Row]) -> None:
    codes = {row.cell(1) for row in rows}
    # Some rows name a group (five characters) where a substance is expected: that is no ATC code of the medicine.
    whole = sorted(code for code in codes if _ATC.fullmatch(code))
    if len(whole) == 1:
        specialty.atc_code = whole[0]


def _add_shortages(specialty: pb.Specialty, rows: Sequence[_Row]) -> None:
    for row in sorted(rows, key=lambda row: (row.cell(1), row.cell(4))):
        kind = _SHORTAGE_KINDS.get(row.cell(2))
        if kind is None:
            raise row.wrong(f"{row.cell(2)[:20]!r} is no kind of shortage (1 to 4)")
        started, updated, available = row.day(4), row.day(5), row.day(6)
        shortage = pb.Shortage(kind=kind, page=row.cell(7))
        if row.cell(1):
            shortage.cip13 = row.cell(1)
        if started:
            shortage.started_on = started.isoformat()
        if updated:
            shortage.updated_on = updated.isoformat()
        if available:
            shortage.available_on = available.isoformat()
        specialty.shortages.append(shortage)


_ADDED: Final[dict[str, Callable[[pb.Specialty, Sequence[_Row]], None]]] = {
    "CIS_COMPO_bdpm": _add_components,
    "CIS_CIP_bdpm": _add_presentations,
    "CIS_GENER_bdpm": _add_generic_groups,
    "CIS_CPD_bdpm": _add_conditions,
    "CIS_MITM": _add_atc_code,
    "CIS_CIP_Dispo_Spec": _add_shortages,
}
