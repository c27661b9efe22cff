"""Therapeutic duplicates. Groups are those of the ATC index of the WHO: C10AA statins (01 simvastatin, 05 atorvastatin), B01AF
direct inhibitors of factor Xa (01 rivaroxaban, 02 apixaban), A12BA potassium (01 chloride, 05 gluconate).
"""

from __future__ import annotations

from random import Random

from dui_medication.knowledge.resolution import Substance
from dui_medication.knowledge.rules import Line
from dui_medication.knowledge.therapeutic import TherapeuticCheck, TherapeuticDuplicate, therapeutic_duplicates
from hypothesis import given
from hypothesis import strategies as st

Coded = tuple[Line, str | None]


def coded(id_: str, code: str | None, *names: str) -> Coded:
    return Line(id_, tuple(Substance((name,)) for name in names)), code


SIMVASTATIN = coded("1", "C10AA01", "SIMVASTATINE")
ATORVASTATIN = coded("2", "C10AA05", "ATORVASTATINE CALCIQUE TRIHYDRATÉE")


def test_two_statins_are_a_duplicate() -> None:
    found = therapeutic_duplicates([ATORVASTATIN, SIMVASTATIN], None)
    assert found == TherapeuticCheck((TherapeuticDuplicate("C10AA", ("1", "2")),), ())


def test_one_substance_twice_is_another_finding_whatever_its_salt() -> None:
    salt = coded("3", "C10AA05", "ATORVASTATINE")
    assert therapeutic_duplicates([ATORVASTATIN, salt], None).duplicates == ()
    assert therapeutic_duplicates([ATORVASTATIN, salt, SIMVASTATIN], None).duplicates == (
        TherapeuticDuplicate("C10AA", ("1", "2", "3")),
    )


def test_two_salts_with_one_mineral_are_two_substances() -> None:
    one = coded("1", "A12BA01", "CHLORURE DE POTASSIUM")
    other = coded("2", "A12BA05", "GLUCONATE DE POTASSIUM")
    assert therapeutic_duplicates([one, other], None).duplicates == (TherapeuticDuplicate("A12BA", ("1", "2")),)


def test_a_combination_has_a_group_of_its_own() -> None:
    with_ezetimibe = coded("3", "C10BA02", "SIMVASTATINE", "ÉZÉTIMIBE")
    assert therapeutic_duplicates([ATORVASTATIN, with_ezetimibe], None).duplicates == ()


def test_lines_without_a_code_are_told_as_not_compared() -> None:
    lines = [
        coded("3", None, "X"),
        coded("4", " ", "Y"),
        coded("1", "C10", "Z"),
        coded("2", "c10aa05", "ATORVASTATINE"),
    ]
    found = therapeutic_duplicates(lines, None)
    assert found == TherapeuticCheck((), ("1", "3", "4"))


def test_without_compositions_the_codes_of_the_substances_tell() -> None:
    assert therapeutic_duplicates([coded("1", "B01AF01"), coded("2", "b01af02")], None).duplicates != ()
    assert therapeutic_duplicates([coded("1", "B01AF01"), coded("2", "B01AF01")], None).duplicates == ()


@given(
    st.lists(
        st.builds(
            coded,
            st.sampled_from("123456"),
            st.sampled_from([None, "C10AA01", "C10AA05", "B01AF01", "B01AF02", "?"]),
            st.sampled_from(["SIMVASTATINE", "ATORVASTATINE", "APIXABAN"]),
        ),
        max_size=5,
        unique_by=lambda one: one[0].id,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_lines_changes_nothing_and_each_line_has_a_code_or_is_told(
    lines: list[Coded], random: Random
) -> None:
    found = therapeutic_duplicates(lines, None)
    assert found == therapeutic_duplicates(random.sample(lines, len(lines)), None)
    assert set(found.not_compared) == {line.id for line, code in lines if code in {None, "?"}}
    assert not {id_ for one in found.duplicates for id_ in one.lines} & set(found.not_compared)
