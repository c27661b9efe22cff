"""The status of an identity follows from a document and an INSi answer; nothing else. Expected values: RNIV, part 1."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from dui.records.v1 import beneficiaries_pb2 as pb
from dui_kit.errors import Refusal
from dui_kit.identifiers import nir_key
from dui_records.beneficiaries import rules
from dui_records.beneficiaries.rules import Identity, IdentityDocument, IdentityStatus, NationalIdentifier, StrictTraits
from dui_records.insi import rules as insi
from dui_records.insi.rules import InsiAnswer, InsiCode
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
TODAY = date(2026, 5, 4)
TRAITS = StrictTraits("Le Goff", ("Anne-Marie", "Jeanne"), "1948-02-29", 1, "29019")
TEST_OID = "1.2.250.1.213.1.4.10"
# 2951099126111 → 93: the vector of the functional reference.
INS = NationalIdentifier("295109912611193", TEST_OID)


def refused(reason: rules.Reason, field: str = "") -> pytest.RaisesExc[Refusal]:
    return pytest.RaisesExc(Refusal, check=lambda e: e.reason is reason and e.violations[0].field == field)


def identity(status: IdentityStatus = IdentityStatus.PROVISOIRE, **changes: object) -> Identity:
    evidence = "answer" if status in (IdentityStatus.RECUPEREE, IdentityStatus.QUALIFIEE) else None
    return replace(Identity(TRAITS, status=status, insi_answer_id=evidence), **changes)


def check(document: IdentityDocument, who: Identity, at: datetime = NOW, *, in_ehpad: bool = False) -> Identity:
    return rules.validated(who, document, at, NOW, in_ehpad=in_ehpad)


def test_the_codes_of_the_rules_are_those_of_the_contract() -> None:
    for ours, theirs, prefix in (
        (IdentityStatus, pb.IdentityStatus, "IDENTITY_STATUS_"),
        (IdentityDocument, pb.IdentityDocument, "IDENTITY_DOCUMENT_"),
    ):
        assert {prefix + code.name: code.value for code in ours} == {k: v for k, v in theirs.items() if v}


@pytest.mark.parametrize("status", IdentityStatus)
def test_the_national_identifier_of_a_qualified_identity_alone_may_be_used(status: IdentityStatus) -> None:
    expected = INS if status is IdentityStatus.QUALIFIEE else None
    assert rules.usable_identifier(identity(status, national_identifier=INS)) == expected


# ------------------------------------------------------------------------------------------------------------ documents


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IdentityStatus.PROVISOIRE, IdentityStatus.VALIDEE),
        (IdentityStatus.RECUPEREE, IdentityStatus.QUALIFIEE),
    ],
)
def test_a_document_makes_an_identity_surer(before: IdentityStatus, after: IdentityStatus) -> None:
    got = check(IdentityDocument.PASSPORT, identity(before))
    assert got.status is after
    assert (got.insi_answer_id is None) == (before is IdentityStatus.PROVISOIRE)


@pytest.mark.parametrize("status", [IdentityStatus.VALIDEE, IdentityStatus.QUALIFIEE])
def test_a_validated_identity_is_not_validated_twice(status: IdentityStatus) -> None:
    with refused(rules.IDENTITY_ALREADY_VALIDATED):
        check(IdentityDocument.PASSPORT, identity(status))


def test_a_doubtful_or_fictitious_identity_is_never_validated() -> None:
    with refused(rules.IDENTITY_DOUBTFUL):
        check(IdentityDocument.PASSPORT, identity(doubtful=True))
    with refused(rules.IDENTITY_FICTITIOUS):
        check(IdentityDocument.PASSPORT, identity(fictitious=True))


@pytest.mark.parametrize(
    ("birth_date", "minor"),
    [("2008-05-05", True), ("2008-05-04", False), ("2008-06", True), ("2008", False), ("2009", True)],
)
def test_a_birth_certificate_is_enough_for_somebody_who_is_certainly_a_minor(birth_date: str, *, minor: bool) -> None:
    # 10 a.m. UTC on 4 May 2026 is still that day everywhere in France.
    who = identity(traits=replace(TRAITS, birth_date=birth_date))
    if minor:
        assert check(IdentityDocument.BIRTH_CERTIFICATE, who).status is IdentityStatus.VALIDEE
    else:
        with refused(rules.DOCUMENT_NOT_ENOUGH, "document"):
            check(IdentityDocument.BIRTH_CERTIFICATE, who)


def test_a_birth_certificate_is_enough_in_an_ehpad() -> None:
    assert check(IdentityDocument.BIRTH_CERTIFICATE, identity(), in_ehpad=True).status is IdentityStatus.VALIDEE


def test_a_document_is_checked_after_the_birth_and_before_now() -> None:
    with refused(rules.CHECK_IN_THE_FUTURE, "checked_at"):
        check(IdentityDocument.PASSPORT, identity(), NOW + timedelta(minutes=6))
    assert check(IdentityDocument.PASSPORT, identity(), NOW + timedelta(minutes=5)).status is IdentityStatus.VALIDEE
    with refused(rules.CHECK_BEFORE_BIRTH, "checked_at"):
        check(IdentityDocument.PASSPORT, identity(), datetime(1948, 2, 27, tzinfo=UTC))


# -------------------------------------------------------------------------------------------------------------- changes


@pytest.mark.parametrize("status", list(IdentityStatus))
@pytest.mark.parametrize(
    "changes",
    [
        {"traits": replace(TRAITS, birth_name="Le Gof")},
        {"traits": replace(TRAITS, birth_given_names=("Jeanne", "Anne-Marie"))},
        {"traits": replace(TRAITS, birth_date="1948-02")},
        {"traits": replace(TRAITS, sex=2)},
        {"traits": replace(TRAITS, birth_place_code=None)},
        {"national_identifier": INS},
    ],
    ids=["name", "given names", "date", "sex", "place", "identifier"],
)
def test_a_strict_trait_that_changes_makes_the_identity_provisional_and_needs_a_reason(
    status: IdentityStatus, changes: dict[str, object]
) -> None:
    before = identity(status)
    with refused(rules.CORRECTION_REASON_REQUIRED, "beneficiary.reason"):
        rules.changed(before, replace(before, **changes, reason=" "), TODAY)
    got = rules.changed(before, replace(before, **changes, reason="Acte de naissance produit"), TODAY)
    assert (got.status, got.insi_answer_id) == (IdentityStatus.PROVISOIRE, None)


@pytest.mark.parametrize("status", list(IdentityStatus))
def test_other_changes_keep_the_status_and_its_evidence(status: IdentityStatus) -> None:
    before = identity(status)
    got = rules.changed(before, replace(before, used_name="Martin", status=IdentityStatus.QUALIFIEE), TODAY)
    assert (got.status, got.insi_answer_id, got.used_name) == (status, before.insi_answer_id, "Martin")


@pytest.mark.parametrize("flag", ["doubtful", "fictitious"])
@pytest.mark.parametrize("status", list(IdentityStatus))
def test_doubt_makes_any_identity_provisional(status: IdentityStatus, flag: str) -> None:
    before = identity(status)
    got = rules.changed(before, replace(before, **{flag: True}), TODAY)
    assert (got.status, got.insi_answer_id) == (IdentityStatus.PROVISOIRE, None)


@given(status=st.sampled_from(IdentityStatus), doubtful=st.booleans(), fictitious=st.booleans())
def test_nobody_who_opens_or_changes_a_record_chooses_its_status(
    status: IdentityStatus, doubtful: bool, fictitious: bool
) -> None:
    told = identity(status, doubtful=doubtful, fictitious=fictitious, insi_answer_id="forged")
    assert rules.opened(told, TODAY).status is IdentityStatus.PROVISOIRE
    assert rules.opened(told, TODAY).insi_answer_id is None
    assert rules.changed(identity(), told, TODAY).status is IdentityStatus.PROVISOIRE
    assert rules.changed(identity(), told, TODAY).insi_answer_id is None


# ------------------------------------------------------------------------------------------------------------ coherence


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"traits": replace(TRAITS, birth_date="2026-05-05")}, rules.BIRTH_DATE_IN_THE_FUTURE, "birth_date"),
        ({"traits": replace(TRAITS, birth_date="2027")}, rules.BIRTH_DATE_IN_THE_FUTURE, "birth_date"),
        ({"traits": replace(TRAITS, birth_date="1879-12-31")}, rules.BIRTH_DATE_TOO_OLD, "birth_date"),
        ({"traits": replace(TRAITS, birth_name="R2D2")}, rules.NAME_INVALID, "birth_name"),
        ({"traits": replace(TRAITS, birth_given_names=("Anne", "-"))}, rules.NAME_INVALID, "birth_given_names[1]"),
        ({"used_name": "Martin;"}, rules.NAME_INVALID, "used_name"),
        ({"used_given_name": "<b>"}, rules.NAME_INVALID, "used_given_name"),
        ({"died_on": date(1948, 2, 28)}, rules.DEATH_BEFORE_BIRTH, "died_on"),
        ({"died_on": date(2026, 5, 5)}, rules.DEATH_IN_THE_FUTURE, "died_on"),
        (
            {"national_identifier": NationalIdentifier("295109912611194", TEST_OID)},
            rules.NIR_INVALID,
            "national_identifier.value",
        ),
    ],
)
def test_what_no_person_can_be_is_refused(changes: dict[str, object], reason: rules.Reason, field: str) -> None:
    with refused(reason, f"beneficiary.{field}"):
        rules.opened(identity(**changes), TODAY)


@pytest.mark.parametrize(
    "changes",
    [
        {"traits": replace(TRAITS, birth_date="2026-05-04"), "died_on": date(2026, 5, 4)},
        {"traits": replace(TRAITS, birth_date="1880")},
        {"traits": replace(TRAITS, birth_date="2026")},
        {"traits": replace(TRAITS, birth_name="D’Almeida-Œuvrard", birth_given_names=("Zoé", "N'Golo"))},
        {"traits": replace(TRAITS, birth_date="1950"), "died_on": date(1950, 1, 1)},
        {"national_identifier": NationalIdentifier("253072B07300470", TEST_OID)},
        {"national_identifier": INS},
    ],
)
def test_what_a_person_can_be_is_accepted(changes: dict[str, object]) -> None:
    assert rules.opened(identity(**changes), TODAY).status is IdentityStatus.PROVISOIRE


def test_a_death_learnt_from_an_exit_keeps_the_date_that_was_known() -> None:
    assert rules.died(identity(), date(2026, 5, 1), TODAY).died_on == date(2026, 5, 1)
    known = identity(IdentityStatus.QUALIFIEE, died_on=date(2026, 4, 1), reason="old")
    got = rules.died(known, date(2026, 5, 1), TODAY)
    assert (got.died_on, got.status, got.reason) == (date(2026, 4, 1), IdentityStatus.QUALIFIEE, None)


@given(st.text(max_size=20))
def test_tidying_a_name_twice_changes_nothing_more(name: str) -> None:
    assert rules.tidy_name(rules.tidy_name(name)) == rules.tidy_name(name)


# ----------------------------------------------------------------------------------------------------------------- INSi


FOUND = InsiAnswer(InsiCode.ONE, "ref", TRAITS, INS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IdentityStatus.PROVISOIRE, IdentityStatus.RECUPEREE),
        (IdentityStatus.RECUPEREE, IdentityStatus.RECUPEREE),
        (IdentityStatus.VALIDEE, IdentityStatus.QUALIFIEE),
        (IdentityStatus.QUALIFIEE, IdentityStatus.QUALIFIEE),
    ],
)
def test_one_identity_found_brings_its_identifier(before: IdentityStatus, after: IdentityStatus) -> None:
    got = insi.answered(identity(before), FOUND, "new")
    assert (got.status, got.insi_answer_id, got.national_identifier) == (after, "new", INS)


@pytest.mark.parametrize("before", [IdentityStatus.VALIDEE, IdentityStatus.QUALIFIEE])
@pytest.mark.parametrize(
    "theirs",
    [
        replace(TRAITS, birth_name="Le Goffic"),
        replace(TRAITS, birth_given_names=("Anne-Marie",)),
        replace(TRAITS, birth_date="1948-02-28"),
        replace(TRAITS, sex=2),
        replace(TRAITS, birth_place_code="29020"),
    ],
)
def test_a_document_checked_for_other_traits_has_to_be_checked_again(
    before: IdentityStatus, theirs: StrictTraits
) -> None:
    got = insi.answered(identity(before), replace(FOUND, traits=theirs), "new")
    assert (got.status, got.traits) == (IdentityStatus.RECUPEREE, theirs)


def test_accents_and_a_birth_place_that_was_not_known_are_no_difference() -> None:
    ours = replace(TRAITS, birth_name="LE GOFF", birth_given_names=("ANNE MARIE", "JEANNE"), birth_place_code=None)
    assert insi.answered(identity(IdentityStatus.VALIDEE, traits=ours), FOUND, "new").status is IdentityStatus.QUALIFIEE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IdentityStatus.PROVISOIRE, IdentityStatus.PROVISOIRE),
        (IdentityStatus.RECUPEREE, IdentityStatus.PROVISOIRE),
        (IdentityStatus.VALIDEE, IdentityStatus.VALIDEE),
        (IdentityStatus.QUALIFIEE, IdentityStatus.VALIDEE),
    ],
)
def test_no_identity_found_takes_back_what_rested_on_insi(before: IdentityStatus, after: IdentityStatus) -> None:
    who = identity(before, national_identifier=INS)
    got = insi.answered(who, InsiAnswer(InsiCode.NONE, "ref"), "new")
    assert (got.status, got.insi_answer_id) == (after, None)
    assert (got is who) == (before is after)
    assert (got.national_identifier is None) == (before is not after)


@pytest.mark.parametrize("before", list(IdentityStatus))
def test_several_identities_found_teach_nothing(before: IdentityStatus) -> None:
    who = identity(before)
    assert insi.answered(who, InsiAnswer(InsiCode.SEVERAL, "ref"), "new") is who


def test_an_answer_that_contradicts_itself_is_not_used() -> None:
    wrong_key = NationalIdentifier(INS.value[:13] + str(99 - int(nir_key(INS.value[:13]))), TEST_OID)
    for answer in (
        replace(FOUND, traits=None),
        replace(FOUND, identifier=None),
        replace(FOUND, identifier=wrong_key),
    ):
        with refused(insi.INSI_ANSWER_INVALID):
            insi.answered(identity(), answer, "new")


def test_insi_is_not_asked_about_a_doubtful_or_incomplete_identity() -> None:
    insi.check_askable(identity())
    with refused(rules.IDENTITY_DOUBTFUL):
        insi.check_askable(identity(doubtful=True))
    with refused(rules.IDENTITY_FICTITIOUS):
        insi.answered(identity(fictitious=True), FOUND, "new")
    for traits in (replace(TRAITS, birth_date="1948-02"), replace(TRAITS, sex=0)):
        with refused(insi.INSI_TRAITS_INCOMPLETE):
            insi.check_askable(identity(traits=traits))


def test_what_is_kept_of_an_answer_is_what_it_said() -> None:
    assert insi.evidence(InsiAnswer(InsiCode.NONE, "ref")) is None
    kept = insi.evidence(FOUND)
    assert kept is not None
    assert kept["identifier"] == {"value": INS.value, "oid": TEST_OID}


@given(st.lists(st.sampled_from(["card", "00", "01", "02", "correct", "doubt"]), max_size=12))
def test_an_identity_rests_on_an_answer_exactly_when_it_is_retrieved(steps: list[str]) -> None:
    """Whatever happens in whatever order, RECUPEREE and QUALIFIEE have an answer and the others have none."""
    who = rules.opened(Identity(TRAITS), TODAY)
    for number, step in enumerate(steps):
        try:
            match step:
                case "card":
                    who = check(IdentityDocument.IDENTITY_CARD, who)
                case "correct":
                    traits = replace(who.traits, birth_name="Le Gof" if number % 2 else "Le Goff")
                    who = rules.changed(who, replace(who, traits=traits, reason="erreur"), TODAY)
                case "doubt":
                    who = rules.changed(who, replace(who, doubtful=not who.doubtful), TODAY)
                case "00":
                    who = insi.answered(who, FOUND, f"answer {number}")
                case code:
                    who = insi.answered(who, InsiAnswer(InsiCode(code), "ref"), f"answer {number}")
        except Refusal:
            continue
        retrieved = who.status in (IdentityStatus.RECUPEREE, IdentityStatus.QUALIFIEE)
        assert retrieved == (who.insi_answer_id is not None)
        assert not (who.doubtful and who.status is not IdentityStatus.PROVISOIRE)
