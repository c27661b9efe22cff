"""The default policy against what the sector expects, and the rules of overrides."""

from __future__ import annotations

import pytest
from dui.identity.v1 import professions_pb2
from dui.options.v1 import options_pb2
from dui_identity.policy import rules
from dui_identity.policy.defaults import PROFESSIONS, default_policy
from dui_identity.policy.rules import Policy
from dui_kit.errors import Refusal

C, A, P = options_pb2.Category, options_pb2.Action, professions_pb2.Profession
READ, WRITE, SEARCH = A.ACTION_READ, A.ACTION_WRITE, A.ACTION_SEARCH
HEALTH = (
    C.CATEGORY_MEDICAL,
    C.CATEGORY_NURSING,
    C.CATEGORY_MEDICATION,
    C.CATEGORY_PARAMEDICAL,
    C.CATEGORY_PSYCHOLOGICAL,
)
RECORD = (
    C.CATEGORY_IDENTITY,
    C.CATEGORY_ADMINISTRATIVE,
    C.CATEGORY_SOCIAL,
    *HEALTH,
    C.CATEGORY_EDUCATIONAL,
    C.CATEGORY_ALERT,
)


def may(profession: int, category: int) -> set[int]:
    return set(default_policy().actions(profession, category))


class TestTheDefaults:
    def test_every_profession_of_the_contract_has_its_line(self) -> None:
        assert len(PROFESSIONS) == 22
        assert all(default_policy().rights(number) for number in PROFESSIONS.values())

    @pytest.mark.parametrize("name", PROFESSIONS)
    def test_everybody_reads_the_organisation(self, name: str) -> None:
        assert READ in may(PROFESSIONS[name], C.CATEGORY_ORGANISATION)

    @pytest.mark.parametrize(
        "profession",
        [P.PROFESSION_ADMINISTRATOR, P.PROFESSION_DATA_PROTECTION_OFFICER],
    )
    def test_who_administers_or_controls_sees_no_record(self, profession: int) -> None:
        assert all(not may(profession, category) for category in RECORD)

    @pytest.mark.parametrize(
        "profession",
        [
            P.PROFESSION_DIRECTION,
            P.PROFESSION_DEPARTMENT_HEAD,
            P.PROFESSION_SECRETARY,
            P.PROFESSION_ACCOUNTANT,
            P.PROFESSION_SOCIAL_WORKER,
            P.PROFESSION_EDUCATOR,
            P.PROFESSION_WORKSHOP_INSTRUCTOR,
            P.PROFESSION_TEACHER,
            P.PROFESSION_SUPPORT_WORKER,
        ],
    )
    def test_who_gives_no_care_sees_no_health_data(self, profession: int) -> None:
        assert all(not may(profession, category) for category in HEALTH)

    def test_the_cells_that_the_follow_up_of_a_person_rests_on(self) -> None:
        assert may(P.PROFESSION_SECRETARY, C.CATEGORY_IDENTITY) == {READ, WRITE, SEARCH}
        assert may(P.PROFESSION_SECRETARY, C.CATEGORY_ADMINISTRATIVE) == {READ, WRITE}
        assert may(P.PROFESSION_SECRETARY, C.CATEGORY_SOCIAL) == {READ}
        assert may(P.PROFESSION_NURSE, C.CATEGORY_MEDICAL) == {READ}
        assert may(P.PROFESSION_NURSE, C.CATEGORY_ALERT) == {READ, WRITE}
        assert may(P.PROFESSION_NURSE, C.CATEGORY_NURSING) == {READ, WRITE}
        assert may(P.PROFESSION_EDUCATOR, C.CATEGORY_ALERT) == {READ}
        assert may(P.PROFESSION_EDUCATOR, C.CATEGORY_EDUCATIONAL) == {READ, WRITE}
        assert may(P.PROFESSION_CARE_ASSISTANT, C.CATEGORY_MEDICAL) == set()
        assert may(P.PROFESSION_PSYCHOLOGIST, C.CATEGORY_PSYCHOLOGICAL) == {READ, WRITE}

    def test_doctors_alone_break_the_glass_and_can_find_the_person(self) -> None:
        doctors = default_policy().professions_that_may(A.ACTION_BREAK_GLASS, C.CATEGORY_MEDICAL)
        assert doctors == {P.PROFESSION_DOCTOR, P.PROFESSION_COORDINATING_DOCTOR}
        assert all(SEARCH in may(doctor, C.CATEGORY_IDENTITY) for doctor in doctors)

    def test_doctors_alone_prescribe_and_the_pharmacist_alone_validates(self) -> None:
        policy = default_policy()
        doctors = {P.PROFESSION_DOCTOR, P.PROFESSION_COORDINATING_DOCTOR}
        assert policy.professions_that_may(A.ACTION_PRESCRIBE, C.CATEGORY_MEDICATION) == doctors
        assert policy.professions_that_may(A.ACTION_VALIDATE, C.CATEGORY_MEDICATION) == {P.PROFESSION_PHARMACIST}
        assert may(P.PROFESSION_NURSE, C.CATEGORY_MEDICATION) == {READ, WRITE}
        others = set(C.values()) - {C.CATEGORY_MEDICATION}
        for action in (A.ACTION_PRESCRIBE, A.ACTION_VALIDATE):
            assert not any(policy.professions_that_may(action, category) for category in others)

    def test_rights_are_administered_by_the_administrator_and_the_journal_reviewed_by_the_officer(self) -> None:
        policy = default_policy()
        for category in (C.CATEGORY_ACCOUNT, C.CATEGORY_POLICY, C.CATEGORY_ORGANISATION):
            assert policy.professions_that_may(A.ACTION_ADMINISTER, category) == {P.PROFESSION_ADMINISTRATOR}
        assert policy.professions_that_may(WRITE, C.CATEGORY_JOURNAL) == {P.PROFESSION_DATA_PROTECTION_OFFICER}

    def test_words_of_the_file_are_the_actions_of_the_contract(self) -> None:
        contract = {name.removeprefix("ACTION_").lower(): number for name, number in A.items() if number}
        assert contract == rules.ACTIONS

    @pytest.mark.parametrize(
        "text",
        [
            '[NURSE]\nMEDICAL = "read"',
            '[NURSE]\nMEDICAL = "read"\n[DOCTOR]\nMEDICAL = "read"\n[WIZARD]\nMEDICAL = "read"',
            '[NURSE]\nMAGIC = "read"\n[DOCTOR]',
            '[NURSE]\nMEDICAL = "raed"\n[DOCTOR]',
            '[NURSE]\nMEDICAL = "read read"\n[DOCTOR]',
            '[NURSE]\nMEDICAL = ""\n[DOCTOR]',
        ],
    )
    def test_a_typing_mistake_in_the_file_stops_the_service(self, text: str) -> None:
        with pytest.raises(ValueError, match="default policy"):
            rules.read_defaults(text, {"NURSE": 5, "DOCTOR": 4}, {"MEDICAL": 4})


class TestOverrides:
    DEFAULTS = Policy({(5, 4): frozenset({1}), (5, 5): frozenset({1, 2}), (4, 4): frozenset({1, 2, 6})})

    def test_an_override_replaces_its_cell_and_no_other(self) -> None:
        policy = rules.with_overrides(self.DEFAULTS, [((5, 4), frozenset()), ((7, 9), frozenset({1}))])
        assert policy.actions(5, 4) == frozenset()
        assert policy.actions(5, 5) == {1, 2}
        assert policy.actions(7, 9) == {1}
        assert policy.actions(8, 1) == frozenset()
        assert policy.overridden == {(5, 4), (7, 9)}
        assert policy.rights(5) == {5: frozenset({1, 2})}
        assert policy.professions_that_may(1, 4) == {4}

    def test_the_defaults_are_not_changed_by_it(self) -> None:
        rules.with_overrides(self.DEFAULTS, [((5, 4), frozenset())])
        assert self.DEFAULTS.actions(5, 4) == {1}

    def test_only_an_override_can_be_taken_back(self) -> None:
        policy = rules.with_overrides(self.DEFAULTS, [((5, 4), frozenset({1, 2}))])
        rules.check_reset(policy, (5, 4))
        with pytest.raises(Refusal, match="OVERRIDE_MISSING"):
            rules.check_reset(policy, (5, 5))

    def test_actions_are_each_known_and_named_once(self) -> None:
        assert rules.check_actions([2, 1]) == {1, 2}
        assert rules.check_actions([]) == frozenset()
        assert rules.check_actions([7, 8]) == {7, 8}
        for wrong in ([0], [1, 1], [9]):
            with pytest.raises(Refusal, match="ACTION_REPEATED"):
                rules.check_actions(wrong)
