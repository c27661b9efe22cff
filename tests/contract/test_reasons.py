"""The reasons of refusal are a part of what the platform publishes: all of them are listed, each once and with one meaning.

Renew the list with `python tests/contract/renew_reasons.py`, and the OpenAPI document after it.
"""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from dui_gateway import contract, openapi, problems
from dui_kit.errors import Code
from reasons_in_code import Declared, declared
from renew_reasons import LIST, listed

DECLARED = declared()
DOCUMENT = openapi.document(contract.operations(), "https://login.example/realms/dui")


def test_the_list_is_that_of_the_code() -> None:
    assert len(DECLARED) > 140
    assert LIST.read_text(encoding="utf-8") == listed(DECLARED), "python tests/contract/renew_reasons.py"


def test_a_reason_means_one_thing() -> None:
    meanings = defaultdict(set)
    for one in DECLARED:
        meanings[one.reason].add((one.code, one.fr, one.en))
    twice = {
        name: [one.place for one in DECLARED if one.reason == name] for name, said in meanings.items() if len(said) > 1
    }
    assert twice == {}


@pytest.mark.parametrize("one", DECLARED, ids=lambda one: f"{one.of}.{one.reason}")
def test_a_reason_is_a_stable_word_with_a_text_in_both_languages(one: Declared) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", one.reason)
    assert one.code in Code.__members__
    assert one.fr.endswith(".")
    assert one.en.endswith(".")
    if one.reason not in {"FORMAT_INVALID", "WRONG_TYPE"}:  # each language names the form in its own words
        assert set(re.findall(r"{\w+}", one.fr)) == set(re.findall(r"{\w+}", one.en))


def test_every_reason_is_an_example_of_the_response_with_its_status() -> None:
    shown = {}
    for name, response in DOCUMENT["components"]["responses"].items():
        status = int(name.removeprefix("Problem"))
        for reason, example in response["content"][problems.MEDIA_TYPE]["examples"].items():
            assert example["value"]["status"] == status
            assert reason not in shown
            shown[reason] = status
    assert set(shown) == {one.reason for one in DECLARED}
    # From RFC 9110, RFC 6585 and the architecture of the platform.
    known = {
        "ETAG_STALE": 412,
        "PRECONDITION_REQUIRED": 428,
        "IDEMPOTENCY_KEY_REUSED": 422,
        "METHOD_NOT_ALLOWED": 405,
        "BODY_TOO_LARGE": 413,
        "MEDIA_TYPE_UNSUPPORTED": 415,
        "RATE_LIMITED": 429,
        "OUTCOME_UNKNOWN": 504,
        "TOKEN_MISSING": 401,
        "STEP_UP_REQUIRED": 403,
        "STAY_OVERLAPS_FACILITY": 409,
        "NOT_FOUND": 404,
        "FIELD_REQUIRED": 400,
        "INTERNAL": 500,
        "DATABASE_UNAVAILABLE": 503,
    }
    assert {reason: shown[reason] for reason in known} == known
