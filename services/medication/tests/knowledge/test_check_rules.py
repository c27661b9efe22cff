"""The check of a treatment against an invented thesaurus."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from random import Random

import pytest
from dui_medication.knowledge import rules
from dui_medication.knowledge.resolution import Homeopathic, Reason, Resolved, Substance, Unresolved, resolve
from dui_medication.knowledge.rules import Checked, Finding, Freshness, KnowledgeState, Line
from dui_medication.knowledge.thesaurus import Level, Thesaurus
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2025, 6, 1)
YEAR = timedelta(days=365)


def line(id_: str, *names: str) -> Line:
    return Line(id_, tuple(Substance((name,)) for name in names))


def check(
    thesaurus: Thesaurus | None,
    existing: tuple[Line, ...] = (),
    new: tuple[Line, ...] = (),
    conditional: tuple[Line, ...] = (),
) -> Checked:
    return rules.check(existing, new, conditional, thesaurus, today=TODAY, valid_for=YEAR)


# ------------------------------------------------------------------------------------------------------------- findings


def test_a_new_line_that_interacts_with_an_existing_one_is_found(fictive: Thesaurus) -> None:
    (found,) = check(fictive, (line("1", "BRILINE"),), (line("2", "ZOLANUM (CHLORHYDRATE DE)"),)).findings
    assert (found.lines, found.substances) == (("1", "2"), ("BRILINE", "ZOLANUM (CHLORHYDRATE DE)"))
    assert (found.level, found.new, found.conditional) == (Level.CI, True, False)


def test_the_worst_interaction_comes_first_whatever_the_lines(fictive: Thesaurus) -> None:
    lines = (line("1", "MORPHÉOL"), line("2", "LURIDEX"), line("3", "ZOLANUM"), line("4", "BRILINE"))
    levels = [found.level for found in check(fictive, (), lines).findings]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] is Level.CI


def test_lines_that_were_there_before_are_checked_too_and_told_apart(fictive: Thesaurus) -> None:
    checked = check(fictive, (line("1", "BRILINE"), line("2", "ZOLANUM")), (), (line("3", "MORPHÉOL"),))
    assert [(found.lines, found.new, found.conditional) for found in checked.findings] == [
        (("1", "2"), False, False),
        (("2", "3"), False, True),
    ]


def test_two_lines_given_only_if_needed_are_checked_against_each_other(fictive: Thesaurus) -> None:
    (found,) = check(fictive, conditional=(line("1", "BRILINE"), line("2", "ZOLANUM"))).findings
    assert (found.new, found.conditional) == (False, True)


def test_nothing_is_found_within_a_fixed_combination(fictive: Thesaurus) -> None:
    assert check(fictive, (), (line("1", "BRILINE", "ZOLANUM"),)).findings == ()


def test_each_substance_of_a_combination_is_checked_against_the_other_lines(fictive: Thesaurus) -> None:
    found = check(fictive, (line("1", "ACIDE FICTIQUE", "BRILINE"),), (line("2", "SOMNIDRINE", "ZOLANUM"),)).findings
    assert [(one.substances, one.level) for one in found] == [
        (("BRILINE", "ZOLANUM"), Level.CI),
        (("ACIDE FICTIQUE", "SOMNIDRINE"), Level.AD),
    ]


def test_an_active_moiety_and_its_salt_count_once(fictive: Thesaurus) -> None:
    both = Line("2", (Substance(("CHLORHYDRATE DE ZOLANUM", "ZOLANUM")),))
    assert len(check(fictive, (line("1", "BRILINE"),), (both,)).findings) == 1


def test_two_salts_of_a_substance_with_two_names_do_not_interact_with_each_other(fictive: Thesaurus) -> None:
    checked = check(fictive, (line("1", "PERDANOL ARGININE"),), (line("2", "PERDANOL TERT-BUTYLAMINE"),))
    assert checked.findings == ()
    assert [one.lines for one in checked.duplicates] == [("1", "2")]


def test_what_a_line_holds_beside_the_shared_substance_still_interacts(fictive: Thesaurus) -> None:
    # « Luribrile » is luridex and briline, and briline interacts with the citrates: potassium citrate is one of two.
    checked = check(fictive, (line("1", "LURIBRILE"),), (line("2", "CITRATE DE POTASSIUM"), line("3", "BRILINE")))
    assert [(one.lines, one.level) for one in checked.findings] == [(("1", "2"), Level.APEC), (("2", "3"), Level.APEC)]
    assert [(one.substance, one.lines) for one in checked.duplicates] == [("BRILINE", ("1", "3"))]


# ----------------------------------------------------------------------------------------------------------- duplicates


def test_a_substance_on_two_lines_is_a_duplicate_whatever_its_salt(fictive: Thesaurus) -> None:
    checked = check(
        fictive, (line("1", "ZOLANUM"), line("3", "CHLORHYDRATE DE ZOLANUM")), (line("2", "ZOLANE", "LURIDEX"),)
    )
    assert [(one.substance, one.lines) for one in checked.duplicates] == [("ZOLANUM", ("1", "2", "3"))]


def test_a_substance_that_the_thesaurus_does_not_know_is_a_duplicate_too(fictive: Thesaurus) -> None:
    checked = check(fictive, (line("1", "Inconnumab"),), (line("2", "INCONNUMAB"),))
    assert [(one.substance, one.lines) for one in checked.duplicates] == [("INCONNUMAB", ("1", "2"))]


def test_names_that_cannot_be_read_are_no_duplicate_of_each_other(fictive: Thesaurus) -> None:
    assert check(fictive, (line("1", ""),), (line("2", ""),)).duplicates == ()


def test_the_same_substance_twice_on_one_line_is_no_duplicate(fictive: Thesaurus) -> None:
    assert check(fictive, (line("1", "ZOLANUM", "ZOLANE"),)).duplicates == ()


# ---------------------------------------------------------------------------------------------- what could not be checked


def test_what_the_thesaurus_does_not_know_is_said_with_its_line(fictive: Thesaurus) -> None:
    checked = check(fictive, (line("1", "ZOLANUM", "INCONNUMAB"),), (line("2", "ZOLANUM ("),))
    assert [(one.line, one.substance, one.reason) for one in checked.unavailable] == [
        ("1", "INCONNUMAB", Reason.UNKNOWN),
        ("2", "ZOLANUM (", Reason.UNREADABLE),
    ]
    assert not checked.clear


def test_a_line_without_substances_is_said(fictive: Thesaurus) -> None:
    checked = check(fictive, (), (line("1"),))
    assert [(one.line, one.reason) for one in checked.unavailable] == [("1", Reason.NO_SUBSTANCE)]
    assert not checked.clear


def test_homeopathic_stocks_are_told_apart(fictive: Thesaurus) -> None:
    stock = "BRILINE POUR PRÉPARATIONS HOMÉOPATHIQUES"
    checked = check(fictive, (line("1", stock),), (line("2", "ZOLANUM"),))
    assert [(one.line, one.substance) for one in checked.homeopathic] == [("1", stock)]
    assert (checked.unavailable, checked.findings, checked.clear) == ((), (), False)


def test_what_no_prescription_shows_is_a_reminder(fictive: Thesaurus) -> None:
    reminders = check(fictive, (), (line("1", "ZOLANUM", "BRILINE"),)).reminders
    assert [(one.line, one.substance, one.interaction.second.name) for one in reminders] == [
        ("1", "ZOLANUM", "ALCOOL (BOISSON OU EXCIPIENT)"),
        ("1", "ZOLANUM", "MÉDICAMENTS ADMINISTRÉS PAR VOIE ORALE"),
    ]


# ----------------------------------------------------------------------------------------------------------- knowledge


@pytest.mark.parametrize(
    ("today", "valid_for", "freshness"),
    [
        (date(2025, 3, 1), timedelta(0), Freshness.CURRENT),
        (date(2026, 3, 1), YEAR, Freshness.CURRENT),
        (date(2026, 3, 2), YEAR, Freshness.STALE),
        (date(2025, 2, 28), YEAR, Freshness.MISDATED),
    ],
)
def test_an_edition_is_current_for_a_time_after_its_date(
    fictive: Thesaurus, today: date, valid_for: timedelta, freshness: Freshness
) -> None:
    state = rules.knowledge_state(fictive, today, valid_for)
    assert state == KnowledgeState(freshness, date(2025, 3, 1))


def test_without_a_thesaurus_every_substance_is_said_not_to_be_checked() -> None:
    stock = "ARNICA POUR PRÉPARATIONS HOMÉOPATHIQUES"
    checked = check(None, (line("1", "ZOLANUM", stock),), (line("2", "BRILINE"), line("3", "ZOLANUM"), line("4")))
    assert checked.knowledge == KnowledgeState(Freshness.ABSENT)
    assert [(one.line, one.reason) for one in checked.unavailable] == [
        ("1", Reason.NO_KNOWLEDGE),
        ("2", Reason.NO_KNOWLEDGE),
        ("3", Reason.NO_KNOWLEDGE),
        ("4", Reason.NO_SUBSTANCE),
    ]
    assert [one.substance for one in checked.homeopathic] == [stock]
    assert [(one.substance, one.lines) for one in checked.duplicates] == [("ZOLANUM", ("1", "3"))]
    assert (checked.findings, checked.reminders, checked.clear) == ((), (), False)


def test_stale_knowledge_is_used_and_does_not_clear(fictive: Thesaurus) -> None:
    lines = (line("1", "BRILINE"), line("2", "ZOLANUM"))
    stale = rules.check(lines, (), (), fictive, today=date(2030, 1, 1), valid_for=YEAR)
    assert stale.knowledge.freshness is Freshness.STALE
    assert len(stale.findings) == 1
    assert not rules.check((line("1", "BRILINE"),), (), (), fictive, today=date(2030, 1, 1), valid_for=YEAR).clear


def test_no_known_interaction_is_said_when_all_was_checked_and_nothing_found(fictive: Thesaurus) -> None:
    assert check(fictive, (line("1", "BRILINE"),), (line("2", "LURIDEX"),)).clear
    assert not check(fictive, (line("1", "BRILINE"),), (line("2", "ZOLANUM"),)).clear


def test_two_lines_with_one_id_are_refused(fictive: Thesaurus) -> None:
    with pytest.raises(ValueError, match="share an id: 1"):
        check(fictive, (line("1", "BRILINE"),), (line("1", "ZOLANUM"),))


# ----------------------------------------------------------------------------------------------------------------- laws

KNOWN = ("ZOLANUM", "MORPHÉOL (CHLORHYDRATE DE)", "somnidrine", "BRILINE", "LURIDEX SODIQUE", "CLARISOL", "PERDANOL")
MORE = ("PERDANOL TERT-BUTYLAMINE", "FICTATE DE SODIUM", "POTASSIUM (CITRATE DE)", "RÉGULOL", "ZOLANE", "LURIBRILE")
NOT_CHECKED = (
    "INCONNUMAB",
    "",
    "ζόλανουμ",
    "ZOLANUM (",
    "ZOLANUM POUR PRÉPARATIONS HOMÉOPATHIQUES",
    "IODURE DE POTASSIUM",
)
SUBSTANCES = st.builds(
    Substance, st.lists(st.sampled_from([*KNOWN, *MORE, *NOT_CHECKED]), min_size=0, max_size=2).map(tuple)
)
LINES = st.lists(
    st.builds(Line, st.sampled_from("abcdefgh"), st.lists(SUBSTANCES, max_size=3).map(tuple)),
    max_size=6,
    unique_by=lambda one: one.id,
).map(tuple)
Lines = tuple[Line, ...]
SPLITS = st.lists(st.integers(0, 2), min_size=6, max_size=6)


def split(lines: tuple[Line, ...], kinds: list[int]) -> tuple[tuple[Line, ...], ...]:
    return tuple(tuple(one for one, kind in zip(lines, kinds, strict=False) if kind == group) for group in range(3))


@given(LINES, SPLITS, st.randoms(use_true_random=False))
def test_the_order_of_lines_and_of_their_substances_does_not_matter(
    fictive: Thesaurus, lines: Lines, kinds: list[int], random: Random
) -> None:
    groups = split(lines, kinds)
    shuffled = []
    for group in groups:
        others = [Line(one.id, tuple(random.sample(one.substances, len(one.substances)))) for one in group]
        random.shuffle(others)
        shuffled.append(tuple(others))
    assert check(fictive, *groups) == check(fictive, *shuffled)


def essence(findings: tuple[Finding, ...]) -> set[tuple[object, ...]]:
    return {(one.lines, one.substances, one.interaction) for one in findings}


@given(LINES, SPLITS, st.data())
def test_a_line_more_removes_no_finding_no_duplicate_and_nothing_that_was_not_checked(
    fictive: Thesaurus, lines: Lines, kinds: list[int], data: st.DataObject
) -> None:
    if not lines:
        return
    gone = data.draw(st.sampled_from(lines))
    fewer = check(fictive, *split(tuple(one for one in lines if one is not gone), kinds))
    all_ = check(fictive, *split(lines, kinds))
    assert essence(fewer.findings) <= essence(all_.findings)
    assert set(fewer.unavailable) <= set(all_.unavailable)
    assert set(fewer.homeopathic) <= set(all_.homeopathic)
    assert set(fewer.reminders) <= set(all_.reminders)
    told = {(one.substance, id_) for one in all_.duplicates for id_ in one.lines}
    assert {(one.substance, id_) for one in fewer.duplicates for id_ in one.lines} <= told


@given(LINES, SPLITS, SPLITS)
def test_why_a_line_is_in_the_check_changes_no_finding(
    fictive: Thesaurus, lines: Lines, kinds: list[int], others: list[int]
) -> None:
    assert essence(check(fictive, *split(lines, kinds)).findings) == essence(
        check(fictive, *split(lines, others)).findings
    )


@given(LINES, SPLITS)
def test_every_substance_is_checked_against_all_other_lines_or_named(
    fictive: Thesaurus, lines: Lines, kinds: list[int]
) -> None:
    checked = check(fictive, *split(lines, kinds))
    found = essence(checked.findings)
    for one in lines:
        assert one.substances or (one.id, "") in {(gap.line, gap.substance) for gap in checked.unavailable}
        for substance in one.substances:
            match resolve(substance, fictive):
                case Unresolved(label, reason):
                    assert rules.Unchecked(one.id, label, reason) in checked.unavailable
                case Homeopathic(label):
                    assert rules.Stock(one.id, label) in checked.homeopathic
                case Resolved() as resolved:
                    for other in lines:
                        if one.id < other.id:
                            expected = interactions(fictive, (one.id, resolved), other)
                            assert expected <= found
    assert checked.clear == (not (checked.findings or checked.unavailable or checked.homeopathic))


def interactions(thesaurus: Thesaurus, one: tuple[str, Resolved], other: Line) -> set[tuple[object, ...]]:
    """What the thesaurus says about a resolved substance and another line, name by name."""
    id_, left = one
    said: set[tuple[object, ...]] = set()
    for substance in other.substances:
        right = resolve(substance, thesaurus)
        if isinstance(right, Resolved):
            shared = set(left.found) & set(right.found)
            for first, second in product(left.found, right.found):
                if not {first, second} <= shared:
                    entries = thesaurus.between(first, second)
                    said |= {((id_, other.id), (left.label, right.label), entry) for entry in entries}
    return said
