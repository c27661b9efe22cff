"""National identifiers against published vectors, and the laws that a check digit must obey."""

from __future__ import annotations

import string
from datetime import date

import pytest
from dui_kit.identifiers import (
    PartialDate,
    check_finess,
    check_nir,
    check_rpps,
    check_siren,
    nir_key,
    normalise_name,
    parse_partial_date,
)
from hypothesis import given
from hypothesis import strategies as st

# Published vectors: python-stdnum's documentation for the NIR; FINESS register (open file); ANS for the RPPS; SIRENE.
NIR = [("2951099126111", "93"), ("253072B073004", "70"), ("253072A073004", "43")]
FINESS = ["010000024", "010780054", "750100125"]
RPPS = ["10003000048", "99700245667"]
SIREN = ["552008443", "73282932000074"]

digits = st.sampled_from(string.digits)
departments = st.one_of(st.integers(1, 95).map(lambda n: f"{n:02d}"), st.sampled_from(["2A", "2B", "97", "98", "99"]))


@st.composite
def nir_bodies(draw: st.DrawFn) -> str:
    sex = draw(st.sampled_from("123478"))
    year, month = (
        draw(st.integers(0, 99)),
        draw(st.one_of(st.integers(1, 12), st.integers(20, 42), st.integers(50, 99))),
    )
    return f"{sex}{year:02d}{month:02d}{draw(departments)}{draw(st.integers(0, 999999)):06d}"


def luhn_digit(number: str) -> str:
    """Luhn as ISO/IEC 7812-1 annex B words it, independent of the library under test."""
    total = 0
    for place, character in enumerate(reversed(number)):
        value = int(character) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str((10 - total % 10) % 10)


@st.composite
def finess_numbers(draw: st.DrawFn) -> str:
    body = draw(departments) + draw(st.text(digits, min_size=6, max_size=6))
    return body + luhn_digit(body.replace("A", "1").replace("B", "2"))


@st.composite
def rpps_numbers(draw: st.DrawFn) -> str:
    body = draw(st.sampled_from("189")) + draw(st.text(digits, min_size=9, max_size=9))
    return body + luhn_digit(body)


@st.composite
def with_one_wrong_digit(draw: st.DrawFn, numbers: st.SearchStrategy[str]) -> tuple[str, str]:
    number = draw(numbers)
    place = draw(st.sampled_from([i for i, character in enumerate(number) if character.isdigit()]))
    other = draw(st.sampled_from([digit for digit in string.digits if digit != number[place]]))
    return number, number[:place] + other + number[place + 1 :]


class TestNir:
    @pytest.mark.parametrize(("body", "key"), NIR)
    def test_published_numbers_have_the_published_key(self, body: str, key: str) -> None:
        assert nir_key(body) == key
        assert check_nir(body + key)

    @given(nir_bodies())
    def test_the_number_with_its_key_is_a_multiple_of_97_whatever_the_month(self, body: str) -> None:
        key = nir_key(body)
        number = int(body.replace("2A", "19", 1) if body[5:7] == "2A" else body.replace("2B", "18", 1))
        assert (number + int(key)) % 97 == 0
        assert check_nir(body + key)

    @given(with_one_wrong_digit(nir_bodies().map(lambda body: body + nir_key(body))))
    def test_any_single_wrong_digit_is_detected(self, pair: tuple[str, str]) -> None:
        right, wrong = pair
        assert check_nir(right)
        assert not check_nir(wrong)

    @pytest.mark.parametrize("month", ["20", "31", "42", "50", "99"])
    def test_an_unknown_month_of_birth_is_legal(self, month: str) -> None:
        body = f"195{month}99126111"
        assert check_nir(body + nir_key(body))

    def test_the_two_corsicas_are_told_apart(self) -> None:
        assert not check_nir("253072A073004" + "70")

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "2951099126111",
            "2 95 10 99 126 111 93",
            "253072C07300443",
            "253072a07300443",
            "595109912611193",
            "２951099126111" + "93",
        ],
    )
    def test_another_shape_is_refused(self, value: str) -> None:
        assert not check_nir(value)

    def test_the_key_of_something_else_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="13 characters"):
            nir_key("295109912611193")


class TestFiness:
    @pytest.mark.parametrize("value", FINESS)
    def test_numbers_of_the_register_pass(self, value: str) -> None:
        assert check_finess(value)

    def test_the_wrong_example_of_the_official_guide_is_refused(self) -> None:
        assert not check_finess("480787529")

    @given(finess_numbers())
    def test_a_number_with_its_luhn_digit_passes_corsica_included(self, value: str) -> None:
        assert check_finess(value)

    @given(with_one_wrong_digit(finess_numbers()))
    def test_any_single_wrong_digit_is_detected(self, pair: tuple[str, str]) -> None:
        assert not check_finess(pair[1])

    @pytest.mark.parametrize(
        "value", ["", "000000000", "01000002", "0100000240", "2C0000000", "2a0000008", "01 000 0024"]
    )
    def test_another_shape_is_refused(self, value: str) -> None:
        assert not check_finess(value)


class TestRpps:
    @pytest.mark.parametrize("value", RPPS)
    def test_known_numbers_pass(self, value: str) -> None:
        assert check_rpps(value)

    @given(with_one_wrong_digit(rpps_numbers()))
    def test_any_single_wrong_digit_is_detected(self, pair: tuple[str, str]) -> None:
        right, wrong = pair
        assert check_rpps(right)
        assert not check_rpps(wrong)

    @pytest.mark.parametrize("value", ["", "00000000000", "1000300004", "810003000048", "1000300004A"])
    def test_another_shape_is_refused(self, value: str) -> None:
        assert not check_rpps(value)


class TestSiren:
    @pytest.mark.parametrize("value", SIREN)
    def test_registered_numbers_pass(self, value: str) -> None:
        assert check_siren(value)

    @pytest.mark.parametrize("value", ["", "552008444", "73282932000075", "000000000", "552 008 443", "5520084430"])
    def test_others_are_refused(self, value: str) -> None:
        assert not check_siren(value)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("Éléonore", "ELEONORE"),
            ("  Jean-Pierre ", "JEAN PIERRE"),
            ("D’Almeïda", "D ALMEIDA"),
            ("d'Almeida", "D ALMEIDA"),
            ("Lœtitia", "LOETITIA"),
            ("Ægir Øst", "AEGIR OST"),
            ("Strauß", "STRAUSS"),
            ("ÇELİK", "CELIK"),
            ("Łukasz", "LUKASZ"),
            ("", ""),
        ],
    )
    def test_a_name_becomes_its_key(self, name: str, key: str) -> None:
        assert normalise_name(name) == key

    @given(st.text())
    def test_a_key_is_its_own_key(self, text: str) -> None:
        assert normalise_name(normalise_name(text)) == normalise_name(text)

    @given(st.text(alphabet="aàâäbcçdeéèêëfghiîïjklmnoôöpqrstuùûüvwxyÿz '-’", max_size=40))
    def test_case_and_accents_never_matter_in_french(self, name: str) -> None:
        key = normalise_name(name)
        assert normalise_name(name.upper()) == key
        assert set(key) <= set(string.ascii_uppercase + " ")
        assert "  " not in key
        assert key == key.strip()


class TestPartialDates:
    @pytest.mark.parametrize(
        ("text", "parts", "earliest", "latest"),
        [
            ("1936", (1936, None, None), date(1936, 1, 1), date(1936, 12, 31)),
            ("1936-02", (1936, 2, None), date(1936, 2, 1), date(1936, 2, 29)),
            ("1936-02-29", (1936, 2, 29), date(1936, 2, 29), date(1936, 2, 29)),
        ],
    )
    def test_what_is_unknown_is_a_span(
        self, text: str, parts: tuple[int, int | None, int | None], earliest: date, latest: date
    ) -> None:
        found = parse_partial_date(text)
        assert found == PartialDate(*parts)
        assert (found.earliest, found.latest) == (earliest, latest)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "36",
            "1936-2",
            "1936-00",
            "1936-13",
            "1936-02-00",
            "1937-02-29",
            "0000",
            "1936-02-29 ",
            "29/02/1936",
            "１936",
        ],
    )
    def test_what_is_not_a_date_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"date|month|day|year"):
            parse_partial_date(text)

    @given(st.dates())
    def test_a_date_is_read_as_written(self, day: date) -> None:
        for text in (f"{day.year:04d}", f"{day.year:04d}-{day.month:02d}", day.isoformat()):
            found = parse_partial_date(text)
            assert str(found) == text
            assert found.earliest <= day <= found.latest
