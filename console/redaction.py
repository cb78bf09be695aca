"""Taking secrets out of what is written down: by known value first, by shape second."""

import logging
import re
from typing import Final
from urllib.parse import quote, quote_plus

from store.secret import Secret

HIDDEN: Final = "[hidden]"
_SHORTEST: Final = 6
"""Characters below which a value is too common a word to be replaced wherever it stands."""

_known: set[str] = set()

_NAMES: Final = (
    r"(?:api[_-]?key|secret|password|passwd|passphrase|token|jwt|authorization|private[_-]?key|fb_auth)"
)
_SHAPES: Final = (
    (re.compile(r"eyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(rf"(?i)([\"']?\b[\w-]*{_NAMES}[\"']?\s*[=:]\s*)\"(?:[^\"\\]|\\.)*\""), rf'\1"{HIDDEN}"'),
    (re.compile(rf"(?i)([\"']?\b[\w-]*{_NAMES}[\"']?\s*[=:]\s*)'(?:[^'\\]|\\.)*'"), rf"\1'{HIDDEN}'"),
    (re.compile(rf"(?i)(\b[\w-]*{_NAMES}\s*[=:]\s*)(?![\"'\[])[^\s&,;}}\])]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        HIDDEN,
    ),
)


def remember(secret: Secret | str) -> None:
    """From now on this value is taken out wherever `redact` meets it, as it is or percent-encoded."""
    value = secret.reveal() if isinstance(secret, Secret) else secret
    if len(value) >= _SHORTEST:
        _known.update(
            {value, quote(value, safe=""), quote_plus(value), value.encode("unicode_escape").decode()}
        )


def redact(text: str) -> str:
    """The text without the secrets that are known, and without what looks like one."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Writes a record without secrets, each line safe to look at and none of them a stranger's to begin."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on indented lines."""
        from store.text import safe_text

        lines = [safe_text(redact(record.getMessage()), 16_384)]
        if record.exc_info:
            lines += redact(self.formatException(record.exc_info)).splitlines()
        if record.stack_info:
            lines += redact(self.formatStack(record.stack_info)).splitlines()
        head = f"{self.formatTime(record)} {record.levelname} {record.name}: {lines[0]}"
        return "\n    ".join([head, *(safe_text(line) for line in lines[1:])])

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """RFC 3339, UTC."""
        from store.times import rfc3339

        return rfc3339(int(record.created * 1000)) or "-"
