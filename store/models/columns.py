"""Types of columns that are stored otherwise than they are read."""

import re
from typing import Any

from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


class CompactId(TypeDecorator[str]):
    """A text that mostly is a UUID: SQLite holds that as 16 bytes instead of 36, in rows and in indexes.

    Every other text is held as it is, and so is everything in PostgreSQL. SQL that is written by hand sees
    the bytes (`hex(detect_id)`), and what is compared with such a column in SQL has to be of this type too.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """As it is stored."""
        return compact(value) if dialect.name == "sqlite" and isinstance(value, str) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """As it was."""
        return spelled(value) if isinstance(value, bytes) else value


def compact(value: str) -> str | bytes:
    """The 16 bytes of a UUID in its usual spelling; any other text as it is."""
    return bytes.fromhex(value.replace("-", "")) if len(value) == 36 and _UUID(value) else value


def spelled(value: bytes) -> str:
    """A UUID out of its 16 bytes."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
