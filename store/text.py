"""Text from outside is code until it is made safe here.

Every name, command line, comment and error body was chosen by a stranger. It is stored as it came and made
safe when it is shown: what a terminal would obey, hide, reorder or pile up appears as a hexadecimal notation
(`\\x1b`, `\\u202e`, `\\U000e0041`), never silently gone.

A backslash is left as it is, because Windows paths must stay readable and exact. So the four characters
`\\x1b` in a file name and the notation for ESC read alike as plain text; `safe_parts` tells them apart, and
the screens underline the notation.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

CUT = "~"
"""Stands where text was left out, as in `Encoded PowerShell down~`."""

# Python calls these printable, and a terminal shows nothing, or an emptiness, or changes the glyph before:
# fillers, selectors, joiners, blank glyphs, the object replacement character, skin tones (whose width
# terminals dispute).
_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U00016fe4\U0001d159\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef"
)
_unseen = re.compile(f"[{_UNSEEN}]").match

# Common characters that are neither marks nor unseen. With `str.isprintable`, which refuses every control,
# format, surrogate, private and unassigned character and every space but one, this settles most text without
# a look at each character.
_plain = re.compile(
    "[ -~\u00a1-\u02ff\u0370-\u0482\u048a-\u0590\u05d0-\u060f\u0620-\u064a\u0671-\u06d5"
    "\u2010-\u20cf\u2100-\u27ff"
    "\u2900-\u2bff\u3001-\u3029\u3030-\u3098\u309b-\u3163\u3165-\u9fff\uac00-\ud7a3\uff01-\uff9f]*"
).fullmatch

_SPACES = "\u3000"  # two cells wide, so it cannot be overlooked; Japanese names are written with it

_JAMO = "\u1161-\u11ff\ud7b0-\ud7fb"  # vowels and finals join the syllable before them, as a mark does
_jamo = re.compile(f"[{_JAMO}]").match

# Assigned one cell wide in the Unicode of our oldest Python and two cells since Unicode 16.
_wide = re.compile(
    "[\u2630-\u2637\u268a-\u268f\u4dc0-\u4dff\U0001d300-\U0001d356\U0001d360-\U0001d376]"
).match


_FORMULA = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]*[=+\-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may take for a formula, or strip and then take for one."""


class Untrusted(str):
    """A string that a stranger chose: telemetry, names, comments. Show it through `safe_text` only."""

    __slots__ = ()


def is_formula(value: str) -> bool:
    """Whether a spreadsheet could take a cell with this text for a formula and run it."""
    return _FORMULA.match(value) is not None


def is_text(text: str) -> bool:
    """Whether a text can be kept and sent: without NUL, which PostgreSQL refuses, and without lone
    surrogates, for which UTF-8 has no bytes."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def safe_text(value: str, limit: int = 4096, *, marks: int = 3) -> str:
    """One line that cannot steer a terminal: what is invisible or active is shown in hexadecimal.

    Shown as notation: control characters (also tab and line breaks), bidirectional controls, zero-width and
    other invisible characters, line and paragraph separators, every space but U+0020 and U+3000, private use,
    unassigned, noncharacters, lone surrogates, combining marks after the first `marks` on one character or on
    none. Text of more than `limit` characters is cut in the middle with `~`, never inside a notation or
    between a letter and its marks. Applying it twice changes nothing. Never raises, whatever the string
    holds; a plain `str` comes out, also of an `Untrusted`.
    """
    if len(value) <= limit and value.isprintable() and (value.isascii() or _plain(value)):
        return str(value)
    return "".join(piece for piece, _ in _limited(value, limit, marks))


def safe_parts(value: str, limit: int = 4096, *, marks: int = 3) -> list[tuple[str, bool]]:
    """What `safe_text` gives, in runs: (text, False) as written, (notation, True) for the rest."""
    if len(value) <= limit and value.isprintable() and (value.isascii() or _plain(value)):
        return [(str(value), False)] if value else []
    runs: list[tuple[str, bool]] = []
    for piece, notation in _limited(value, limit, marks):
        if runs and runs[-1][1] is notation:
            runs[-1] = (runs[-1][0] + piece, notation)
        else:
            runs.append((piece, notation))
    return runs


def safe_block(value: str, limit: int = 65536, *, marks: int = 3) -> list[str]:
    """The lines of a text, each as `safe_text` shows it; LF and CR LF break lines, nothing else does.

    Longer than `limit` characters, the middle is left out and `~` stands for it. An empty text is one empty
    line.
    """
    kept = value.replace("\r\n", "\n") if len(value) <= 2 * limit else value
    return "".join(piece for piece, _ in _limited(kept, limit, marks, newlines=True)).split("\n")


def cell_width(text: str) -> int:
    """How many terminal cells safe text takes: East Asian wide characters two, combining marks none.

    Agrees with Rich's tables for everything that `safe_text` lets through (a test compares all code points).
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def fit(
    text: str, width: int, *, cut: Literal["end", "middle"] = "end", align: Literal["left", "right"] = "left"
) -> str:
    """Safe text in exactly `width` cells: padded with spaces, or cut with `~` at its end or in its middle.

    A wide character, a notation, or a letter with its marks is never split; a cell left over is a space.
    """
    if width <= 0:
        return ""
    if text.isascii() and text.isprintable():
        size = len(text)
        if size > width:
            kept = (width - 1) // 2 if cut == "middle" else 0
            return text[: width - 1 - kept] + CUT + (text[-kept:] if kept else "")
        return text.rjust(width) if align == "right" else text.ljust(width)
    # A safe line of more characters than this is cut anyway: each grapheme takes at least one cell and has
    # at most three marks.
    limit = max(16, width * 8)
    shown = safe_text(text, limit)
    size = cell_width(shown)
    if size > width or len(text) > limit:
        pieces = [(piece, cell_width(piece)) for piece, _ in _limited(text, limit, 3)]
        size = sum(cells for _, cells in pieces)
        if size > width:
            shown, size = _fitted(pieces, width, cut)
    pad = " " * (width - size)
    return pad + shown if align == "right" else shown + pad


def _fitted(pieces: list[tuple[str, int]], width: int, cut: Literal["end", "middle"]) -> tuple[str, int]:
    """As many pieces as `width` cells hold beside the cut sign, and the cells taken."""
    room = width - 1
    tail: list[str] = []
    taken = 0
    if cut == "middle":
        for piece, cells in reversed(pieces):
            if taken + cells > room // 2:
                break
            tail.append(piece)
            taken += cells
    head: list[str] = []
    for piece, cells in pieces:
        if taken + cells > room:
            break
        head.append(piece)
        taken += cells
    return "".join(head) + CUT + "".join(reversed(tail)), taken + 1


def _cells(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.category(character)[0] == "M" or _jamo(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" or _wide(character) else 1


def _notation(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _pieces(value: str, marks: int, *, newlines: bool) -> Iterator[tuple[str, bool]]:
    """Each character with its marks, or the notation of what cannot be shown: (piece, is it a notation)."""
    piece = ""
    run = 0
    for character in value:
        if " " <= character <= "~":
            if piece:
                yield piece, False
            piece, run = character, 0
            continue
        if not (character.isprintable() or character in _SPACES) or _unseen(character):
            if piece:
                yield piece, False
                piece = ""
            yield (character, False) if newlines and character == "\n" else (_notation(character), True)
        elif unicodedata.category(character)[0] == "M" or _jamo(character):
            # Without a letter of its own, a mark would settle on whatever the screen shows to its left.
            if piece and run < marks:
                piece += character
                run += 1
                continue
            if piece:
                yield piece, False
                piece = ""
            yield _notation(character), True
        else:
            if piece:
                yield piece, False
            piece, run = character, 0
    if piece:
        yield piece, False


def _limited(value: str, limit: int, marks: int, *, newlines: bool = False) -> list[tuple[str, bool]]:
    """The pieces of `value`, those in the middle left out where they come to more than `limit` characters."""
    if limit <= 0:
        return []
    if len(value) > 2 * limit + 2:
        # Each character gives at least one, so what stands between these two ends can never be shown.
        head = list(_pieces(value[: limit + 1], marks, newlines=newlines))
        tail = list(_pieces(value[-limit - 1 :], marks, newlines=newlines))
    else:
        head = tail = list(_pieces(value, marks, newlines=newlines))
        if sum(len(piece) for piece, _ in head) <= limit:
            return head
    room = limit - len(CUT)
    ending: list[tuple[str, bool]] = []
    taken = 0
    for piece in reversed(tail):
        if taken + len(piece[0]) > room // 2:
            break
        ending.append(piece)
        taken += len(piece[0])
    start: list[tuple[str, bool]] = []
    for piece in head:
        if taken + len(piece[0]) > room:
            break
        start.append(piece)
        taken += len(piece[0])
    return [*start, (CUT, False), *reversed(ending)]


_EAST_ASIAN = frozenset({"Latin", "Cjk", "Ideographic", "Hiragana", "Katakana", "Hangul", "Bopomofo"})

# Letters that look like Latin ones in most fonts.
_POSING_SCRIPTS = {
    "Cyrillic": "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u051b\u051d\u04cf"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u04c0\u050c\u051a\u051c",
    "Greek": "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f"
    "\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03b9\u03f2\u03f3",
    "Armenian": "\u0585\u057d\u0570\u0578\u0566\u0581\u056c\u0555\u054f\u0548\u054d\u0531",
    "Cherokee": "\u13a0\u13a2\u13aa\u13ab\u13ac\u13b3\u13b7\u13bb\u13c0"
    "\u13c3\u13cf\u13d2\u13d4\u13da\u13de\u13df\u13e2\u13e6",
}
_POSING = frozenset("".join(_POSING_SCRIPTS.values()))

# Punctuation that passes for `.`, `/`, `:`, `-`, `|` or `!` in a domain, a path or a name.
_POSING_SIGNS = frozenset(
    "\u2024\u2044\u2215\u29f8\uff0f\uff0e\uff1a\ua789\u02d0\u0589\u2236\u01c0\u01c3"
    "\u2010\u2011\u2212\u05f4\ufe52\u2571"
)


def mixed_script(value: str) -> str | None:
    """Why a name may not be what it looks like, in a few words with code points; None if nothing says so.

    Named are: characters that `safe_text` shows as notation; letters of two scripts in one word (Japanese,
    Chinese and Korean writing mixes with Latin rightly); a text whose foreign letters all look like Latin
    ones; letters and digits in disguise (full width, mathematical, small capitals); punctuation that passes
    for another; accents written apart from their letter. What it cannot see: look-alikes within ASCII (`rn`
    for `m`), and within one script.
    """
    if value.isascii() and value.isprintable():
        return None
    unseen = [character for character in value if _hidden(character)]
    if unseen:
        return _reason("invisible", unseen)
    disguised = [character for character in value if _disguised(character)]
    if disguised:
        return _reason("disguised", disguised)
    signs = [character for character in value if character in _POSING_SIGNS]
    if signs:
        return _reason("look-alike sign", signs)
    for word in re.findall(r"[^\W\d_]+", value):
        scripts: dict[str, list[str]] = {}
        for character in word:
            if (script := _script(character)) is not None:
                scripts.setdefault(script, []).append(character)
        if len(scripts) > 1 and not scripts.keys() <= _EAST_ASIAN:
            rarest = min(scripts, key=lambda script: len(scripts[script]))
            return _reason("mixes " + " and ".join(sorted(scripts)), scripts[rarest])
    foreign = [character for character in value if _script(character) in _POSING_SCRIPTS]
    if foreign and _POSING.issuperset(foreign):
        return _reason("poses as Latin", foreign)
    if not unicodedata.is_normalized("NFC", value):
        return _reason("decomposed", [mark for mark in value if unicodedata.category(mark)[0] == "M"])
    return None


def _hidden(character: str) -> bool:
    """Whether `safe_text` would show this one as notation, its place among others aside."""
    return not (character.isprintable() or character in _SPACES) or _unseen(character) is not None


def _disguised(character: str) -> bool:
    """Whether this is a letter or digit that only dresses up an ASCII one."""
    if character < "\u0250" or not character.isalnum() or character in _POSING:
        return False
    if "\u0250" <= character <= "\u02af" or "\u1d00" <= character <= "\u1d7f":
        return True
    plain = unicodedata.normalize("NFKC", character)
    return plain != character and plain.isascii()


def _script(character: str) -> str | None:
    """The script of a letter by the first word of its Unicode name; None for what is no letter."""
    if not character.isalpha() or unicodedata.category(character) == "Lm":
        return None
    if character < "\u0250":
        return "Latin"
    words = unicodedata.name(character, "UNKNOWN").split()
    return (words[1] if words[0] in ("HALFWIDTH", "FULLWIDTH") and len(words) > 1 else words[0]).title()


def _reason(what: str, characters: list[str]) -> str:
    codes = list(dict.fromkeys(f"U+{ord(character):04X}" for character in characters))
    return f"{what}: {', '.join(codes[:3])}{' and more' if len(codes) > 3 else ''}" if codes else what
