"""The typeface of reports: Roboto, from its package, and a small copy of it to carry in an HTML file."""

import base64
import io
import logging
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, Literal

Weight = Literal["Regular", "Bold"]

CARRIED: Final = "".join(
    map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x180), 0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2026,
              0x202F, 0x2265, 0x20AC))
)  # fmt: skip
"""What the copy in a HTML file can write: the languages of reports and their neighbours. A name in another
script is written in a font of the reader's own."""


def path(weight: Weight) -> Path:
    """The file of a weight, Apache-2.0 like the typeface."""
    with as_file(files("font_roboto") / "files" / f"Roboto-{weight}.ttf") as found:
        return Path(found)


@cache
def covered() -> frozenset[int]:
    """The code points that the typeface has."""
    with _opened("Regular") as font:
        return frozenset(font.getBestCmap())


@cache
def carried(weight: Weight) -> str:
    """The small copy as WOFF in base64; made once a process."""
    from fontTools import subset

    # It logs what it drops, at length.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    options = subset.Options(flavor="woff", layout_features=["kern", "tnum", "lnum"], hinting=False)
    cutter = subset.Subsetter(options)
    cutter.populate(text=CARRIED)
    out = io.BytesIO()
    with _opened(weight) as font:
        cutter.subset(font)
        font.flavor = "woff"
        font.save(out)
    return base64.b64encode(out.getvalue()).decode()


def _opened(weight: Weight) -> Any:
    from fontTools.ttLib import TTFont

    return TTFont(io.BytesIO(path(weight).read_bytes()), lazy=True)
