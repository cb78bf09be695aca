"""What can go wrong between us and LimaCharlie, each one sentence for the operator.

`kind` is the short word that the store keeps; the text never holds a token or a key.
"""

import re
from collections.abc import Iterable
from typing import ClassVar

EXCERPT = 200
"""Characters of a stranger's answer that an error may repeat."""

_LOOKED_AT = 65_536
_TOKEN = re.compile(r"eyJ[\w.+/=-]{8,}|(?i:\bbearer\s+)[\w.+/=~-]+")
_NAMED = re.compile(
    r"(?i)(\\?[\"']?\b(?:secret|jwt|api_key|apikey|password|passwd|token|fb_auth|impersonator_jwt)\b\\?[\"']?\s*[:=]\s*\\?[\"']?)"
    r"[^\s\"'&,}\\]+"
)


class LimaCharlieError(Exception):
    """Something kept LimaCharlie from answering; the text says what, where, and what to do.

    Attributes:
        kind: the short word for it.
        status: the HTTP status, where there was one.
        code: the machine code of the answer (`RECORD_NOT_FOUND`), "" where it had none.
        retry_after: seconds after which it may work, where the answer said so.
    """

    kind: ClassVar[str] = "error"

    def __init__(
        self, text: str, *, status: int | None = None, code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Auth(LimaCharlieError):
    """The credential itself was refused."""

    kind = "auth"


class Denied(LimaCharlieError):
    """The credential is good and may not do this."""

    kind = "denied"


class Closed(Denied):
    """The credential is good, and gets no token at all for this organization."""


class Gone(LimaCharlieError):
    """What was asked for does not exist."""

    kind = "gone"


class Conflict(LimaCharlieError):
    """Somebody else changed it in the meantime."""

    kind = "conflict"


class Throttled(LimaCharlieError):
    """Too many requests for this credential."""

    kind = "throttled"


class Unavailable(LimaCharlieError):
    """LimaCharlie answered that it cannot serve this now."""

    kind = "unavailable"


class Ambiguous(LimaCharlieError):
    """A change was sent and its outcome is unknown: read it back before doing anything else."""

    kind = "ambiguous"


class Protocol(LimaCharlieError):
    """The answer is not what LimaCharlie answers: cut, no JSON, another shape, a redirect."""

    kind = "protocol"


class Network(LimaCharlieError):
    """No complete answer came: name resolution, TLS, a refused or lost connection, a deadline."""

    kind = "network"


class Invalid(LimaCharlieError):
    """The request is wrong in itself: a bad parameter, an impossible name."""

    kind = "invalid"


def excerpt(body: bytes | str, secrets: Iterable[str] = ()) -> str:
    """What an error may repeat of an answer: ASCII, at most EXCERPT characters, secrets replaced.

    Args:
        body: any bytes, or text.
        secrets: what must not be repeated, as it is written in the answer.
    """
    text = body[:_LOOKED_AT].decode("utf-8", "replace") if isinstance(body, bytes) else body[:_LOOKED_AT]
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[redacted]")
    text = _TOKEN.sub("[redacted]", text)
    text = _NAMED.sub(r"\1[redacted]", text)
    safe = ascii(" ".join(text.split()))[1:-1]
    return safe if len(safe) <= EXCERPT else safe[: EXCERPT - 3] + "..."
