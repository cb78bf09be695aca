"""Documentations of many customers as a spreadsheet: a line each, a column for each thing.

    oid, organization, time_zone, service_hours, around_the_clock, holidays, closed, open, notes,
    contact1_name, contact1_role, contact1_phone, contact1_mail, contact1_note, contact2_name, ...
    escalation1_after, escalation1_who, escalation1_how, ... maintenance1_title, maintenance1_when, ...
    sop1_title, sop1_text, ...

`service_hours` is `Mon-Fri=08:00-18:00; Sat=09:00-13:00` or `24x7`, `closed` is
`2026-12-24 Christmas Eve; 12-31`, `maintenance1_title` may be `none`. An empty cell says nothing: what is
kept stays. A spreadsheet's `'` before what it would take for a formula (`'+49 30 5550100`) is no part of it.
"""

import csv
import difflib
import io
import re
from collections.abc import Mapping
from typing import Any, Final

from store.customers import MOST, Customer, CustomerError, fields_of, in_order, named, plain
from store.yaml import LARGEST, Problem

LINES: Final = 10_000

_PLAIN: Final = (
    "oid", "organization", "time_zone", "service_hours", "around_the_clock", "holidays", "closed", "open",
    "notes",
)  # fmt: skip
_PARTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "contact": ("contacts", ("name", "role", "phone", "mail", "note")),
    "escalation": ("escalation", ("after", "who", "how")),
    "maintenance": ("maintenance", ("title", "when")),
    "sop": ("sops", ("title", "text")),
}
_NUMBERED = re.compile(r"(contact|escalation|maintenance|sop)([1-9][0-9]?)_([a-z]+)")
_GUARDED = re.compile(r"'+[\s\u200b-\u200f\u2060\ufeff]*[=+\-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20]")


def rows_of(customers: Mapping[str, tuple[str, Customer]]) -> tuple[list[dict[str, str]], list[str]]:
    """The lines of a spreadsheet, and its columns: as many as are needed.

    Args:
        customers: by oid the organization's name and its documentation.
    """
    rows = [_row(oid, name, customer) for oid, (name, customer) in customers.items()]
    columns = list(_PLAIN)
    for word, (_, parts) in _PARTS.items():
        pattern = re.compile(rf"{word}(\d+)_")
        most = max((int(found[1]) for row in rows for key in row if (found := pattern.match(key))), default=1)
        columns += [f"{word}{number}_{part}" for number in range(1, most + 1) for part in parts]
    return rows, columns


def _row(oid: str, name: str, customer: Customer) -> dict[str, str]:
    document = plain(customer)
    row = {"oid": oid, "organization": name}
    for key in ("time_zone", "notes"):
        row[key] = document.get(key, "")
    hours = document.get("service_hours", "")
    row["service_hours"] = (
        hours if isinstance(hours, str) else "; ".join(f"{days}={told}" for days, told in hours.items())
    )
    row["around_the_clock"] = "; ".join(customer.always)
    row["holidays"] = customer.country
    row["closed"] = "; ".join(each.text for each in customer.closed)
    row["open"] = "; ".join(each.text for each in customer.opened)
    for word, (field, parts) in _PARTS.items():
        listed = document.get(field, [])
        if listed == "none":
            row["maintenance1_title"] = "none"
            continue
        for number, entry in enumerate(listed, 1):
            row.update({f"{word}{number}_{part}": entry.get(part, "") for part in parts})
    # What begins like a guard gets one, so that reading takes away no more than was added.
    return {key: f"'{cell}" if _GUARDED.match(cell) else cell for key, cell in row.items()}


def read_sheet(content: bytes, organizations: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What a spreadsheet says of organizations: by oid the fields of `Customer` that it names.

    Args:
        content: CSV in UTF-8, between commas, semicolons or tabs.
        organizations: every organization that is known: oid to name.

    Raises:
        CustomerError: with every problem found, each with its line.
    """
    problems: list[Problem] = []
    found: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    for line, cells in _lines(content, problems):

        def wrong(text: str, *path: str | int, line: int = line) -> None:
            problems.append(Problem(line, text))

        oid = named(cells, organizations, wrong)
        told = fields_of(_document(cells), wrong)
        if oid is None:
            continue
        if oid in found:
            wrong(f"The organization is there twice; it is on line {lines[oid]} too.")
            continue
        found[oid], lines[oid] = told, line
    if problems:
        raise CustomerError(in_order(problems))
    return found


def _lines(content: bytes, problems: list[Problem]) -> list[tuple[int, dict[str, str]]]:
    if len(content) > LARGEST:
        raise CustomerError([Problem(1, f"The file has more than {LARGEST // 1_000_000} MB.")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CustomerError([Problem(line, "This is no UTF-8; save the file as CSV in UTF-8.")]) from None
    if "\0" in text:
        at = text.count("\n", 0, text.index("\0")) + 1
        raise CustomerError([Problem(at, "A NUL character stands here.")])
    head = text.partition("\n")[0]
    between = max(",;\t", key=lambda sign: (head.count(sign), sign == ","))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    columns: list[str] = []
    listed: list[tuple[int, dict[str, str]]] = []
    end = 0
    while True:
        at = end + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise CustomerError([Problem(at, f"This cannot be read as CSV: {error}.")]) from None
        end = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = _header(at, cells)
        elif len(cells) != len(columns):
            problems.append(Problem(at, f"This line has {len(cells)} cells, the header {len(columns)}."))
        elif len(listed) == LINES:
            raise CustomerError([Problem(at, f"There are more than {LINES:,} lines in the file.")])
        else:
            said = ((name, _said(cell)) for name, cell in zip(columns, cells, strict=True))
            listed.append((at, {name: cell for name, cell in said if cell}))
    if not columns:
        raise CustomerError([Problem(1, "The file is empty; its first line has to name the columns.")])
    if not listed and not problems:
        raise CustomerError([Problem(1, "There is no customer below the header.")])
    return listed


def _said(cell: str) -> str:
    text = cell[1:] if _GUARDED.match(cell) else cell
    return text.replace("\r\n", "\n").strip()


def _header(line: int, cells: list[str]) -> list[str]:
    columns = ["_".join(cell.strip().casefold().replace("-", " ").split()) for cell in cells]
    known = [*_PLAIN, *(f"{word}1_{part}" for word, (_, parts) in _PARTS.items() for part in parts)]
    for at, name in enumerate(columns):
        numbered = _NUMBERED.fullmatch(name)
        if name not in _PLAIN and not (
            numbered and numbered[3] in _PARTS[numbered[1]][1] and int(numbered[2]) <= MOST
        ):
            near = difflib.get_close_matches(name, known, 1)
            meant = f"is {near[0]} meant?" if near else f"there are {', '.join(known)}."
            raise CustomerError([Problem(line, f"No column is called {cells[at][:40]!a}; {meant}")])
        if columns.index(name) != at:
            raise CustomerError([Problem(line, f"The column {name} is there twice.")])
    if "oid" not in columns and "organization" not in columns:
        raise CustomerError([Problem(line, "A column oid or organization has to say whose each line is.")])
    return columns


def _document(cells: Mapping[str, str]) -> dict[str, Any]:
    """A line as the document of a customer."""
    document: dict[str, Any] = {key: cells[key] for key in ("time_zone", "notes") if key in cells}
    hours = cells.get("service_hours", "")
    if "=" in hours:
        document["service_hours"] = {
            days.strip(): told.strip() for days, _, told in (each.partition("=") for each in _listed(hours))
        }
    elif hours:
        document["service_hours"] = hours
    if "around_the_clock" in cells:
        document["around_the_clock"] = _listed(cells["around_the_clock"])
    holidays: dict[str, Any] = {"country": cells["holidays"]} if "holidays" in cells else {}
    for key in ("closed", "open"):
        if key in cells:
            holidays[key] = _listed(cells[key])
    if holidays:
        document["holidays"] = holidays
    parts: dict[str, dict[int, dict[str, str]]] = {}
    for name, cell in cells.items():
        numbered = _NUMBERED.fullmatch(name)
        if numbered:
            parts.setdefault(numbered[1], {}).setdefault(int(numbered[2]), {})[numbered[3]] = cell
    for word, entries in parts.items():
        listed = [entries[number] for number in sorted(entries)]
        nothing = word == "maintenance" and listed == [{"title": "none"}]
        document[_PARTS[word][0]] = "none" if nothing else listed
    return document


def _listed(cell: str) -> list[str]:
    return [each.strip() for each in cell.split(";") if each.strip()]
