"""The table of cross-allergies: every group of it, and what is refused."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest
from dui_medication.allergies.groups import Likelihood, Reason
from dui_medication.allergies.loading import TableRefused, packaged_table, read_table
from dui_medication.allergies.reading import Vocabulary, read
from dui_medication.allergies.rules import Allergy, Kind, check_allergies
from dui_medication.catalogue.source import read as read_catalogue
from dui_medication.knowledge.identity import forms_of, forms_of_name
from dui_medication.knowledge.names import canonical
from dui_medication.knowledge.resolution import Substance, substances_of
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.thesaurus import Thesaurus

TABLE = packaged_table()
#: The real edition, where somebody has it: it may not be given on, so the repository has none.
BDPM = Path(__file__).parents[4].parent / "shared" / "data" / "bdpm"


def line(id_: str, *names: str) -> Line:
    return Line(id_, tuple(Substance((name,)) for name in names))


@pytest.mark.parametrize("key", sorted(TABLE.groups))
def test_every_spelling_of_a_group_is_wholly_understood_as_the_group(key: str, small: Thesaurus) -> None:
    for spelling in TABLE.groups[key].spellings:
        for typed in (spelling, f"Allergie aux {spelling.upper()}", spelling.replace("é", "e") + "."):
            reading = read(typed, Vocabulary(TABLE, small, frozenset(), {}))
            assert (reading.unread, [term.groups for term in reading.terms]) == ((), [(key,)]), typed


@pytest.mark.parametrize("key", sorted(TABLE.groups))
def test_a_text_that_names_a_group_hits_every_member(key: str, small: Thesaurus) -> None:
    group = TABLE.groups[key]
    allergy = Allergy("a", Kind.MEDICATION, group.spellings[0])
    for member in group.members:
        (answer,) = check_allergies([allergy], [line("1", member)], TABLE, small, {})
        (hit,) = answer.hits
        assert hit.group is group
        assert hit.likelihood is (group.between if group.only_by_name else Likelihood.EXPECTED)


@pytest.mark.parametrize("key", sorted(TABLE.groups))
def test_an_allergy_to_a_member_hits_the_others_unless_the_group_counts_by_name_only(
    key: str, small: Thesaurus
) -> None:
    ways = {
        (one, other)
        for each in TABLE.groups.values()
        if not each.only_by_name
        for one in each.members
        for other in (
            *(each.members if each.between is not None else ()),
            *(name for cross in each.crosses for name in TABLE.groups[cross.group].members),
        )
    }
    for one in TABLE.groups[key].members:
        if any(term.groups for term in read(one, Vocabulary(TABLE, small, frozenset(), {})).terms):
            continue  # « Iode » is a substance and a word for all that holds some.
        for other in TABLE.groups[key].members:
            if forms_of_name(one, small).isdisjoint(forms_of_name(other, small)):
                (answer,) = check_allergies([Allergy("a", Kind.MEDICATION, one)], [line("1", other)], TABLE, small, {})
                assert bool(answer.hits) == ((one, other) in ways), (one, other)


@pytest.mark.parametrize("key", sorted(TABLE.groups))
def test_no_spelling_hides_a_substance_that_leads_further_than_its_group(key: str) -> None:
    """« Ceftazidime ou aztréonam », read as one group, would lose the other cephalosporins."""
    for spelling in TABLE.groups[key].spellings:
        typed = f" {canonical(spelling)} "
        named = {form for form in TABLE.groups_of if f" {form} " in typed}
        further = {each for form in named for each in TABLE.groups_of[form] if not TABLE.groups[each].only_by_name}
        assert further <= {key}, spelling


def test_the_crosses_of_a_group_that_is_made_of_others_are_theirs_without_those_among_them() -> None:
    betalactams = TABLE.groups["betalactamines"]
    assert set(TABLE.groups["cephalosporines"].members) < set(betalactams.members)
    assert not betalactams.crosses


def test_every_group_names_a_published_source_with_its_year_or_section() -> None:
    for group in TABLE.groups.values():
        assert re.search(r"\b(?:19|20)\d\d\b|4\.[348]|CIRTACI|RCP", group.source), group.key


def test_the_table_says_that_no_pharmacist_has_reviewed_it() -> None:
    assert not TABLE.reviewed
    assert date(2026, 1, 1) < TABLE.compiled_on


def test_groups_of_members_alone_are_what_the_text_of_the_class_without_them_is_not() -> None:
    assert TABLE.words["ANTIBIOTIQUE"].reason is Reason.CLASS_WITHOUT_TABLE
    assert TABLE.words["LATEX"].reason is Reason.EXCIPIENT
    assert "IODE" not in {form for group in TABLE.groups.values() if not group.only_by_name for form in group.forms}


HEAD = "compiled_on = 2026-01-01\nreviewed_by_pharmacist = false\n"
GROUP = (
    '[[group]]\nkey = "a"\nname = "A"\nspellings = ["as"]\nmembers = ["X"]\nbetween = "possible"\nsource = "S 2020"\n'
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "not TOML"),
        (b"compiled_on = ", "not TOML"),
        (GROUP.encode(), "compiled_on"),
        (HEAD.encode(), "no groups"),
        ((HEAD + GROUP + GROUP).encode(), "two with one key"),
        ((HEAD + GROUP.replace('source = "S 2020"\n', "")).encode(), "« source » is missing"),
        ((HEAD + GROUP.replace('["X"]', "[]")).encode(), "no members"),
        ((HEAD + GROUP.replace('["X"]', '["?"]')).encode(), "no list of names"),
        ((HEAD + GROUP.replace("possible", "likely")).encode(), "« between » is none of"),
        ((HEAD + GROUP + "member = []\n").encode(), "unknown field member"),
        ((HEAD + GROUP + 'includes = ["b"]\n').encode(), "not there: b"),
        ((HEAD + GROUP + 'crosses = [{with = "b", likelihood = "possible"}]\n').encode(), "not there: b"),
        ((HEAD + GROUP + 'crosses = [{with = "a", likelihood = "none"}]\n').encode(), "possible or expected"),
        ((HEAD + GROUP + "crosses = 3\n").encode(), "no list of tables"),
        ((HEAD + 'excipients = ["as"]\n' + GROUP.replace('"as"', '"As"')).encode(), "there twice"),
    ],
)
def test_a_table_with_a_hole_is_refused_with_what_is_wrong(content: bytes, why: str) -> None:
    with pytest.raises(TableRefused, match=re.escape(why)):
        read_table(content)


@pytest.mark.skipif(not BDPM.is_dir(), reason="the official files are not here: they are fetched, never given on")
def test_every_member_is_a_substance_of_the_official_catalogue_and_the_classes_are_whole() -> None:
    """ATC groups as WHO defines them, from the codes of the catalogue: what is of the class has to be in the group."""
    names: set[str] = set()
    by_atc: defaultdict[str, set[Substance]] = defaultdict(set)
    for specialty in read_catalogue(BDPM, date(2026, 1, 28)).specialties.values():
        found = substances_of(
            (each.substance, [moiety.substance for moiety in each.moieties]) for each in specialty.components
        )
        names |= forms_of(found, None)
        if len(found) == 1:
            by_atc[specialty.atc_code].update(found)
    for group in TABLE.groups.values():
        assert [name for name in group.members if forms_of_name(name, None).isdisjoint(names)] == [], group.key
    classes = {
        "J01C": "penicillines",
        "J01DB": "cephalosporines",
        "J01DC": "cephalosporines",
        "J01DD": "cephalosporines",
        "J01DE": "cephalosporines",
        "J01MA": "fluoroquinolones",
        "J01FA": "macrolides",
        "J01G": "aminosides",
        "J01A": "cyclines",
        "C09AA": "iec",
        "C09CA": "sartans",
        "A02BC": "ipp",
        "M01AB": "ains",
        "M01AE": "ains",
        "V08AB": "contraste_iode",
        "A10BB": "sulfonylurees",
        "M03AC": "curares",
    }
    for atc, key in classes.items():
        substances = {one for code, found in by_atc.items() if code.startswith(atc) for one in found}
        assert substances, atc
        missing = [one.label for one in substances if forms_of((one,), None).isdisjoint(TABLE.groups[key].forms)]
        assert missing == [], key
