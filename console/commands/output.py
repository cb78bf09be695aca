"""How a command prints: a table for people; JSON, JSON lines, YAML and CSV for programs."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from console.csvfile import csv_rows, guarded
from store.text import cell_width, fit, safe_text

_GAP = 2
_NARROWEST = 6
"""Cells that a column keeps, however narrow the terminal."""


def write_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None, output: str) -> None:
    """Print a list on standard output.

    Args:
        rows: each with the same keys.
        columns: keys that a table shows; all keys of the first row by default.
        output: of `console.commands.parser.OUTPUTS`.
    """
    if output == "table":
        _write(table(rows, columns or _keys(rows), width=_width()))
    elif output == "csv":
        _write(csv_text(rows, _keys(rows) or list(columns or ())))
    elif output == "jsonl":
        for row in rows:
            _write(json_text(row) + "\n")
    elif output == "yaml":
        _write(yaml_text([dict(row) for row in rows]))
    else:
        _write(json_text(list(rows), indent=sys.stdout.isatty()) + "\n")


def write_object(thing: Mapping[str, Any], output: str) -> None:
    """Print one thing on standard output: CSV as a row, a table as its fields one below the other."""
    if output == "table":
        _write(fields_text(thing, width=_width()))
    elif output == "csv":
        _write(csv_text([thing], list(thing)))
    elif output == "yaml":
        _write(yaml_text(dict(thing)))
    else:
        _write(json_text(thing, indent=output == "json" and sys.stdout.isatty()) + "\n")


def json_text(value: Any, *, indent: bool = False) -> str:
    r"""Exact data as JSON.

    What a terminal would obey or hide (C1, bidirectional controls, ...) is written as `\uXXXX`: the same
    data to a parser. So are lone surrogates, which UTF-8 cannot carry.
    """
    import orjson

    try:
        options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
        text = orjson.dumps(value, option=options).decode()
    except (TypeError, orjson.JSONEncodeError):
        # Lone surrogates, and integers of more than 64 bits: telemetry holds both.
        text = json.dumps(value, indent=2 if indent else None, separators=None if indent else (",", ":"))
    lines = text.split("\n")
    return "\n".join(line if _is_safe(line) else line.translate(_JSON_ESCAPES) for line in lines)


def yaml_text(value: Any) -> str:
    """Exact data as YAML that `yaml.safe_load` reads back equal; anything invisible is escaped."""
    import yaml

    options: dict[str, Any] = {"sort_keys": False, "default_flow_style": False, "width": 120}
    fast, pure = _yaml_dumpers()
    try:
        text = str(yaml.dump(value, Dumper=fast, allow_unicode=True, **options))
    except UnicodeEncodeError:
        return str(yaml.dump(value, Dumper=pure, allow_unicode=False, **options))
    if all(_is_safe(line) for line in text.split("\n")):
        return text
    return str(yaml.dump(value, Dumper=fast, allow_unicode=False, **options))


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as CSV with a header line, quoted as RFC 4180 has it.

    A text that a spreadsheet could take for a formula is preceded by `'`. Lists and mappings are JSON.
    """
    return csv_rows(rows, columns, _csv_cell)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, width: int | None) -> str:
    """Rows below a header line, each text made safe.

    Args:
        rows: what to show.
        columns: which keys, in order.
        width: cells of the terminal; None for as wide as it takes.
    """
    titles = [name.replace("_", " ").upper() for name in columns]
    numeric = [bool(rows) and all(_is_number(row.get(name)) for row in rows) for name in columns]
    cells = [[safe_text(_plain(row.get(name))) for name in columns] for row in rows]
    widths = [
        max([cell_width(title), *(cell_width(line[at]) for line in cells)]) for at, title in enumerate(titles)
    ]
    if width is not None:
        widths = _narrowed(widths, width)
    gap = " " * _GAP

    def line(values: Sequence[str]) -> str:
        fitted = (
            fit(value, size, align="right" if number else "left")
            for value, size, number in zip(values, widths, numeric, strict=True)
        )
        return gap.join(fitted).rstrip() + "\n"

    return "".join([line(titles), *map(line, cells)])


def fields_text(thing: Mapping[str, Any], indent: str = "", *, width: int | None = None) -> str:
    """A thing's fields one below the other, what is nested indented below its name; each text made safe.

    Args:
        indent: before every line.
        width: cells of the terminal, at which lines go on below themselves; None for as wide as it takes.
    """
    if not thing:
        return ""
    names = {key: safe_text(str(key).replace("_", " ")) for key in thing}
    widest = max(cell_width(name) for name, value in zip(names.values(), thing.values(), strict=True))
    lines: list[str] = []
    for key, value in thing.items():
        name = names[key]
        if isinstance(value, Mapping) and value:
            lines.append(f"{indent}{name}\n" + fields_text(value, indent + "  ", width=width))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            lines.append(f"{indent}{name}\n")
            for row in value:
                told = "  ".join(safe_text(_told(each), 65536) for each in row.values()).rstrip()
                lines.append(_wrapped(f"{indent}  ", told, width, f"{indent}    "))
        else:
            first = f"{indent}{fit(name, widest)}  "
            lines.append(_wrapped(first, safe_text(_plain(value), 65536), width, " " * cell_width(first)))
    return "".join(lines)


def _told(value: Any) -> str:
    """What is nested, in words: `old new, new in_progress`; what is empty in it is left out."""
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        return "; ".join(map(_told, value))
    if not isinstance(value, Mapping):
        return _plain(value)
    said = {str(key).replace("_", " "): each for key, each in value.items() if each not in (None, "", [], {})}
    return (
        ", ".join(
            f"{key} ({_told(each)})" if isinstance(each, Mapping) else f"{key} {_told(each)}"
            for key, each in said.items()
        )
        or "-"
    )


def _wrapped(first: str, text: str, width: int | None, below: str) -> str:
    """A text behind `first`, over as many lines as it takes, each but the first behind `below`."""
    if width is None or cell_width(first + text) <= width or cell_width(below) + _NARROWEST > width:
        return f"{first}{text}".rstrip() + "\n"
    lines, line = [], first
    empty = True
    for word in text.split(" "):
        if not empty and cell_width(line) + 1 + cell_width(word) > width:
            lines.append(line.rstrip())
            line, empty = below, True
        line += word if empty else f" {word}"
        empty = False
        while cell_width(line) > width:
            head = _head(line, width)
            lines.append(head)
            line = below + line[len(head) :]
    return "\n".join([*lines, line.rstrip()]) + "\n"


def _head(line: str, width: int) -> str:
    """As much of the beginning of a line as so many cells hold."""
    used = 0
    for at, character in enumerate(line):
        used += cell_width(character)
        if used > width:
            return line[:at]
    return line


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(rows[0]) if rows else []


def _plain(value: Any) -> str:
    """A value as people read it; still to be made safe."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, Mapping | list | tuple):
        return json_text(value)
    return str(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _narrowed(widths: Sequence[int], width: int) -> list[int]:
    """Take from the widest column, cell by cell, until a line fits."""
    narrowed = list(widths)
    excess = sum(narrowed) + _GAP * (len(narrowed) - 1) - width
    while excess > 0:
        widest = max(range(len(narrowed)), key=narrowed.__getitem__)
        if narrowed[widest] <= _NARROWEST:
            break
        second = max((size for size in narrowed if size < narrowed[widest]), default=_NARROWEST)
        step = min(excess, max(1, narrowed[widest] - max(second, _NARROWEST)))
        narrowed[widest] -= step
        excess -= step
    return narrowed


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json_text(value)
    text = guarded(text)
    if sys.stdout.isatty():
        return safe_text(text, 65536)
    # A lone surrogate has no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


@cache
def _yaml_dumpers() -> tuple[Any, Any]:
    """The C one, and the one that can write a lone surrogate; both write a subclass of `str` as text."""
    import yaml

    class Pure(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    class Fast(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at run time
        def ignore_aliases(self, data: Any) -> bool:
            return True

    for dumper in (Fast, Pure):
        dumper.add_multi_representer(str, lambda self, text: self.represent_str(str(text)))
    return Fast, Pure


def _is_safe(line: str) -> bool:
    return safe_text(line, len(line) + 1) == line


class _JsonEscapes(dict[int, str]):
    """Code point -> itself, or its JSON escape where a terminal would obey or hide it."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        units = character.encode("utf-16-be", "surrogatepass")
        escaped = "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
        self[code] = character if _is_safe(character) else escaped
        return self[code]


_JSON_ESCAPES = _JsonEscapes()


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write(text: str) -> None:
    sys.stdout.write(text)
