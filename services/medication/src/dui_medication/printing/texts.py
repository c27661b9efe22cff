"""Text that is shown on paper as it was typed, whoever typed it, or with a visible sign where that cannot be.

A page is not a screen: nobody can click on a character to see what it is. So what the embedded fonts cannot draw is shown by its
code point, and what would change the order or the place of other characters is shown too, instead of doing it.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

#: What the fonts inside `typst` draw (a test compiles every one of them): Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic,
#: Georgian, and the signs of prose and of science. Left out on purpose: controls, private use, and what turns others round.
_DRAWN = (
    (0x0020, 0x007E),
    (0x00A0, 0x00AC),
    (0x00AE, 0x02FF),
    (0x0370, 0x0377),
    (0x037A, 0x037F),
    (0x0384, 0x038A),
    (0x038C, 0x038C),
    (0x038E, 0x03A1),
    (0x03A3, 0x0482),
    (0x048A, 0x04FF),
    (0x0531, 0x0556),
    (0x0559, 0x058A),
    (0x05BE, 0x05BE),
    (0x05D0, 0x05EA),
    (0x05EF, 0x05F4),
    (0x060C, 0x060C),
    (0x061B, 0x061B),
    (0x061F, 0x061F),
    (0x0621, 0x063A),
    (0x0640, 0x064A),
    (0x0660, 0x066C),
    (0x067E, 0x067E),
    (0x0686, 0x0686),
    (0x0698, 0x0698),
    (0x06A9, 0x06A9),
    (0x06AF, 0x06AF),
    (0x06CC, 0x06CC),
    (0x06F0, 0x06F9),
    (0x10D0, 0x10FA),
    (0x1E00, 0x1EFF),
    (0x1F00, 0x1FFE),
    (0x2010, 0x2027),
    (0x202F, 0x203E),
    (0x2044, 0x2044),
    (0x2070, 0x2071),
    (0x2074, 0x208E),
    (0x20A0, 0x20BF),
    (0x2100, 0x211E),
    (0x2122, 0x2122),
    (0x2126, 0x214F),
    (0x2153, 0x215E),
    (0x2190, 0x21FF),
    (0x2200, 0x22FF),
    (0x25A0, 0x25FF),
)


def _characters(*ranges: tuple[int, int]) -> frozenset[str]:
    return frozenset(
        chr(code)
        for first, last in ranges
        for code in range(first, last + 1)
        if unicodedata.category(chr(code)) != "Cn"
    )


DRAWN = _characters(*_DRAWN)
#: Letters with the marks that can be drawn over and under them: one font has to have both.
MARKED = (
    (
        _characters((0x0041, 0x005A), (0x0061, 0x007A), (0x00C0, 0x023F), (0x0386, 0x03CE))
        | _characters((0x0400, 0x045F), (0x0490, 0x04C4), (0x1E00, 0x1E99), (0x1EA0, 0x1EF9)) & DRAWN,
        _characters((0x0300, 0x0331), (0x0338, 0x0338)),
    ),
    (_characters((0x05D0, 0x05EA)), _characters((0x05B0, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2))),
    (_characters((0x0621, 0x063A), (0x0641, 0x064A)), _characters((0x064B, 0x0655))),
)
_MARKS = frozenset[str]().union(*(marks for _, marks in MARKED))
#: They say how their neighbours may be joined or parted, and nothing else: left out.
_SILENT = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff"))
_SPACES = re.compile("[ \t\u00a0\u2000-\u200a\u202f]{2,}|[\t\u2000-\u200a]")
_NEW_LINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
#: No name of a substance is longer; a longer run of characters may be broken anywhere, or it would leave the page.
_LONGEST_WORD = 30
_TOO_LONG = re.compile(rf"[^ \n]{{{_LONGEST_WORD + 1},}}")
_PIECE = re.compile(f".{{1,15}}[{''.join(sorted(_MARKS))}]*")
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: Ids and addresses are copied from the page: no invisible character may come with them. They are short enough for a line.
_COPIED = re.compile(rf"(?:/v1/beneficiaries/{_UUID}/prescriptions/)?{_UUID}(?::verify)?")
#: Letters bear two accents in some languages; more cover the line above.
_MOST_MARKS = 2
_FROM_RIGHT = frozenset({"R", "AL", "AN"})
_ISOLATE, _END_OF_ISOLATE, _BREAK = "\u2068", "\u2069", "\u200b"


def printable(text: str) -> str:
    """The text as the page can show it. Unlike what is shown, what was typed is never changed by it: it is what was signed."""
    text = unicodedata.normalize("NFC", _NEW_LINES.sub("\n", text).translate(_SILENT))
    text = _SPACES.sub(" ", text)
    shown = "".join(_shown(text))
    return _isolated(_TOO_LONG.sub(_broken, shown))


def _broken(found: re.Match[str]) -> str:
    word = found[0]
    return word if _COPIED.fullmatch(word) else _BREAK.join(_PIECE.findall(word))


def _shown(text: str) -> list[str]:
    """Each character, or the code point of what cannot be shown."""
    found: list[str] = []
    letter, marks = "", 0
    for character in text:
        if unicodedata.category(character).startswith("M"):
            marks += 1
            plain = marks <= _MOST_MARKS and any(letter in some and character in over for some, over in MARKED)
        else:
            letter, marks = character, 0
            plain = character == "\n" or character in DRAWN
        found.append(character if plain else f"[U+{ord(character):04X}]")
    return found


def _isolated(text: str) -> str:
    """Words that run from right to left between marks (UAX 9), so that they leave the order of a dose beside them alone."""
    if not any(map(_runs_from_right, text)):
        return text
    lines = []
    for line in text.split("\n"):
        runs = [(from_right, " ".join(words)) for from_right, words in groupby(line.split(" "), key=_runs_from_right)]
        lines.append(" ".join(f"{_ISOLATE}{run}{_END_OF_ISOLATE}" if right else run for right, run in runs))
    return "\n".join(lines)


def _runs_from_right(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in _FROM_RIGHT for character in text)
