"""Whose report it is: names, logo, colours, language and sections, from a provider's file and the tree.

A brand is a YAML file in the directory `brands` of the workspace, its logo beside it. Which one a customer's
reports have says the tree's parameter `report_brand`, inherited like every parameter; without one it is
`default`, and without that file a plain one. Parameters beside it override single values below their node.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from console.reports.words import LANGUAGES
from store.reports.periods import PeriodError, zone_of
from store.yaml import YamlError, load

SECTIONS: Final = ("summary", "alerts", "response", "cases", "sensors", "usage")
"""In the order in which a report has them unless its brand says otherwise."""
PAPERS: Final = ("A4", "Letter")
DEFAULT: Final = "default"

PARAMETERS: Final = {
    "report_customer": "customer", "report_logo": "logo", "report_colour": "colour",
    "report_accent": "accent", "report_language": "language", "report_sections": "sections",
    "report_time_zone": "time_zone", "report_contact": "contact",
}  # fmt: skip
"""Parameter of the tree -> what it overrides of the brand."""

LARGEST_FILE: Final = 2_000_000
"""Bytes of a logo."""
LARGEST_SIDE: Final = 4_000
"""Pixels."""
LOGO_SIDE: Final = 640
"""Pixels of the longer side of what a report carries."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_READABLE = 4.5
"""Contrast to white from which text of normal size can be read (WCAG 2.2, 1.4.3)."""
_TEXTS = {"provider": 80, "customer": 120, "contact": 200}


class BrandError(ValueError):
    """A brand that cannot be used; the text says where, what is wrong, and what it takes."""


@dataclass(frozen=True, slots=True)
class Brand:
    """What of a report is the provider's and the customer's."""

    provider: str = ""
    customer: str = ""
    """As the report is to call it; "" is the organization's name."""
    contact: str = ""
    """How to reach the provider: in the last line of each page."""
    logo: bytes = field(default=b"", repr=False)
    """PNG, made anew from the pixels of the file; b"" for none."""
    logo_size: tuple[int, int] = (0, 0)
    colour: str = "#1d3a4f"
    """Of headings and bars: `#rrggbb`, dark enough to be read on white."""
    accent: str = "#2f7d6b"
    """Of small marks."""
    language: str = "en"
    time_zone: str = ""
    """Whose days they are; "" is that of the customer's documentation, else UTC."""
    sections: tuple[str, ...] = SECTIONS
    paper: str = "A4"
    name: str = ""
    """Of the file, without its ending; "" for the plain one."""


def brand_of(directory: Path, parameters: Mapping[str, object], *, language: str = "") -> Brand:
    """The brand of a node with these parameters (inherited ones included).

    Args:
        directory: where the files of brands lie; it need not exist.
        language: of LANGUAGES, in place of the brand's; "" leaves it.

    Raises:
        BrandError: something of it cannot be used.
    """
    name = parameters.get("report_brand", DEFAULT)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BrandError(
            "report_brand: it takes the name of a file in the directory of brands, without its ending."
        )
    path = directory / f"{name}.yaml"
    found = Brand()
    if path.exists() or name != DEFAULT:
        found = _read(path, name)
    over = {key: parameters[given] for given, key in PARAMETERS.items() if given in parameters}
    if over:
        given = {key: name for name, key in PARAMETERS.items()}
        found = _judged(found, over, lambda key: f"The tree's parameter {given[key]}", directory)
    if language:
        found = _judged(found, {"language": language}, lambda key: f"--{key}", directory)
    return found


def time_zone_of(directory: Path, name: str) -> str:
    """The time zone that a brand's file says; "" where it says none, or cannot be used.

    Args:
        name: "" is the default one.
    """
    name = name or DEFAULT
    if not _NAME.fullmatch(name):
        return ""
    try:
        said = load((directory / f"{name}.yaml").read_bytes()).value
    except (OSError, YamlError):
        return ""
    zone = said.get("time_zone", "") if isinstance(said, dict) else ""
    return zone if isinstance(zone, str) else ""


def _read(path: Path, name: str) -> Brand:
    try:
        said = load(path.read_bytes()).value
    except FileNotFoundError:
        raise BrandError(f"There is no brand {name!r}: {path} is not there.") from None
    except OSError as error:
        raise BrandError(f"The brand {path} cannot be read: {error.strerror}.") from None
    except YamlError as error:
        raise BrandError(f"The brand {path} is not understood: {error}") from None
    if not isinstance(said, dict):
        raise BrandError(f"The brand {path} has to be a mapping, such as `provider: Northlight Security`.")
    return replace(_judged(Brand(), said, lambda key: f"{path}, {key}", path.parent), name=name)


def _judged(brand: Brand, said: Mapping[str, Any], where: Any, directory: Path) -> Brand:
    """The brand with what was said put over it, every value judged."""
    values: dict[str, Any] = {}
    known = {*_TEXTS, "logo", "colour", "accent", "language", "time_zone", "sections", "paper"}
    for key, value in said.items():
        if key not in known:
            raise BrandError(f"{where(key)}: there is no such thing; it takes {', '.join(sorted(known))}.")
        if key == "logo":
            values["logo"], values["logo_size"] = _logo(value, where(key), directory)
        elif key == "sections":
            values[key] = _sections(value, where(key))
        elif key in _TEXTS:
            if not isinstance(value, str) or len(value) > _TEXTS[key]:
                raise BrandError(f"{where(key)}: it takes a text of at most {_TEXTS[key]} characters.")
            values[key] = value
        elif key in ("colour", "accent"):
            values[key] = _colour(value, where(key))
        elif key == "time_zone":
            try:
                zone_of(str(value))
            except PeriodError as error:
                raise BrandError(f"{where(key)}: {error}") from None
            values[key] = str(value)
        else:
            allowed = LANGUAGES if key == "language" else PAPERS
            if value not in allowed:
                raise BrandError(f"{where(key)}: it takes one of {', '.join(allowed)}.")
            values[key] = value
    return replace(brand, **values)


def _sections(value: object, where: str) -> tuple[str, ...]:
    wanted = value if isinstance(value, list) else [value]
    if (
        not wanted
        or len(set(map(str, wanted))) != len(wanted)
        or any(each not in SECTIONS for each in wanted)
    ):
        raise BrandError(f"{where}: it takes a list of {', '.join(SECTIONS)}, each at most once.")
    return tuple(map(str, wanted))


def _colour(value: object, where: str) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise BrandError(f'{where}: it takes a colour as "#rrggbb", such as "#1d3a4f".')
    contrast = 1.05 / (_luminance(value) + 0.05)
    if contrast < _READABLE:
        raise BrandError(
            f"{where}: {value} cannot be read on white (its contrast is {contrast:.1f}, not the "
            f"{_READABLE} that it takes); use a darker one."
        )
    return value.lower()


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _logo(value: object, where: str, directory: Path) -> tuple[bytes, tuple[int, int]]:
    """The picture of a file beside the brand, made anew."""
    if value in ("", None):
        return b"", (0, 0)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BrandError(
            f"{where}: it takes the name of a PNG or JPEG file beside the brand, such as logo.png."
        )
    path = directory / value
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BrandError(f"{where}: {path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_FILE:
        raise BrandError(f"{where}: {path} has more than {LARGEST_FILE:,} bytes.")
    return picture(data, f"{where}: {path}")


def picture(data: bytes, what: str) -> tuple[bytes, tuple[int, int]]:
    """A PNG out of a PNG or JPEG, and its size in pixels.

    Args:
        what: how a complaint begins.

    Raises:
        BrandError: it is no picture, or too large a one.
    """
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
                if max(opened.size) > LARGEST_SIDE or min(opened.size) < 1:
                    raise BrandError(
                        f"{what} has {opened.size[0]} x {opened.size[1]} pixels; at most {LARGEST_SIDE}."
                    )
                opened.load()
                pixels = opened.convert("RGBA")
    except BrandError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Warning, MemoryError):
        # Whatever a decoder stumbles over, a logo it is not.
        raise BrandError(f"{what} is no picture in PNG or JPEG.") from None
    pixels.thumbnail((LOGO_SIDE, LOGO_SIDE))
    out = io.BytesIO()
    Image.frombytes("RGBA", pixels.size, pixels.tobytes()).save(out, "PNG", optimize=True)
    return out.getvalue(), pixels.size
