"""Rows as CSV that a spreadsheet shows and never runs."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from store.text import is_formula


def guarded(text: str) -> str:
    """The text, preceded by `'` where a spreadsheet could take it for a formula."""
    return f"'{text}" if is_formula(text) else text


def csv_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], cell: Callable[[Any], str]) -> str:
    """Rows below a header line, quoted as RFC 4180 has it.

    Args:
        cell: a value as text; it guards.
    """
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([cell(name) for name in columns])
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue()


def csv_bytes(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Rows of texts and numbers for a file: UTF-8, each text guarded, None empty."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, int):
            return str(value)
        # A lone surrogate has no UTF-8.
        return guarded(str(value)).encode("utf-8", "backslashreplace").decode()

    return csv_rows(rows, columns, cell).encode()
