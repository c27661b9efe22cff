"""A key that stands twice in one JSON object is refused, wherever it is and however it is written."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from dui_gateway.codec.duplicates import has_duplicates, path_of_duplicate
from hypothesis import given
from hypothesis import strategies as st

ID = "0197f3a2-5c1e-7b44-9d3f-2a6b8c0e1f57"
NOTES = f"/v1/beneficiaries/{ID}/handover_notes"

KEYS = st.one_of(st.sampled_from(["a", "b", "é", '"', "\\", ":", '\\":', "a\\", "\n", ""]), st.text(max_size=4))


class Pairs(list[tuple[str, Any]]):
    """An object as it is written, keys that come twice included."""


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), KEYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(st.tuples(KEYS, inner), max_size=5).map(lambda pairs: Pairs(pairs))
    ),
    max_leaves=20,
)
SPACE = st.text(alphabet=" \t\n\r", max_size=2)


@st.composite
def written(draw: st.DrawFn) -> str:
    """A JSON text: spaces anywhere, characters escaped or not."""

    def string(text: str) -> str:
        plain = json.dumps(text, ensure_ascii=draw(st.booleans()))
        if text and text[0].isascii() and draw(st.booleans()):
            return f'"\\u{ord(text[0]):04x}{json.dumps(text[1:])[1:]}'
        return plain

    def write(value: Any) -> str:
        before, after = draw(SPACE), draw(SPACE)
        if isinstance(value, Pairs):
            members = (f"{draw(SPACE)}{string(name)}{draw(SPACE)}:{write(one)}" for name, one in value)
            return f"{before}{{{','.join(members)}{draw(SPACE)}}}{after}"
        if isinstance(value, list):
            return f"{before}[{','.join(write(one) for one in value)}]{after}"
        return f"{before}{string(value) if isinstance(value, str) else json.dumps(value)}{after}"

    return write(draw(VALUES))


def naive(text: str) -> bool:
    """Whether any object of the text has a key twice, by a parser that is told of each object."""
    found = []

    def members(pairs: list[tuple[str, Any]]) -> None:
        found.append(len({name for name, _ in pairs}) != len(pairs))

    json.loads(text, object_pairs_hook=members)
    return any(found)


@given(written())
def test_what_a_slow_parser_finds_is_found_and_nothing_else(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return  # half a surrogate pair: refused before
    assert has_duplicates(raw, document) == naive(text)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"subject":"a","subject":"b"}', "subject"),
        (b'{"subject":"a","subject":"a"}', "subject"),
        (b'{"subject" : "a", "sub\\u006aect" : "b"}', "subject"),
        (b'{"items":[{"subject":1},{"subject":1,"data":2,"data":3}]}', "items[1].data"),
        (b'{"subject":{"data":1,"data":2},"subject":1}', "subject.data"),
        (b'{"jeanne":1,"jeanne":2}', "?"),
        (b'{"jeanne":{"subject":1,"subject":2}}', "?.subject"),
        (b'{"subject":' + b"9" * 5_000 + b',"subject":1e999}', "subject"),
    ],
)
def test_the_place_is_named_and_no_unknown_key(raw: bytes, path: str) -> None:
    assert path_of_duplicate(raw, {"subject", "data", "items"}) == path


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"subject":"Chute","subject":"Repas"}', "subject"),
        (b'{"subject":"Chute","jeanne_martin":1,"jeanne_martin":2}', "?"),
    ],
)
def test_a_body_with_a_key_twice_is_refused_before_anything_is_done(
    call: Any, backend: Any, body: bytes, field: str
) -> None:
    answer = call("POST", NOTES, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["reason"]) == (400, "DUPLICATE_KEY")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert "jeanne" not in answer.text
    assert not backend.received


@pytest.mark.parametrize("verb", ["PATCH", "PUT"])
def test_a_patch_and_a_draft_are_looked_at_too(call: Any, backend: Any, verb: str) -> None:
    path, body = {
        "PATCH": (f"/v1/beneficiaries/{ID}", b'{"national_identifier":{"value":"1","value":"2"}}'),
        "PUT": (f"/v1/beneficiaries/{ID}/drafts/{ID}", b'{"allergy":{"substance":"a","substance":"b"}}'),
    }[verb]
    answer = call(verb, path, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["reason"]) == (400, "DUPLICATE_KEY")
    assert answer.json["errors"][0]["field"] in {"national_identifier.value", "allergy.substance"}
    assert not backend.received


def test_the_same_key_in_two_objects_is_none_twice(call: Any) -> None:
    body = b'{"reaction":"\\"substance\\":","substance":"\\\\"}'
    assert (
        call("POST", f"/v1/beneficiaries/{ID}/allergies", data=body, content_type="application/json").status_code == 201
    )
