"""Times as the store keeps them (milliseconds since 1970, UTC) and as people read them."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def rfc3339(milliseconds: int | None) -> str | None:
    """`2026-01-31T12:00:00Z`; with milliseconds only where there are any. None stays None."""
    if milliseconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    if milliseconds % 1000:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def age(milliseconds: int | None, now: int) -> str:
    """How long ago, in at most four characters: `12s`, `4m`, `3h`, `12d`, `-` when never."""
    if milliseconds is None:
        return "-"
    seconds = max(0, (now - milliseconds) // 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{min(seconds // size, 999)}{unit}"
    return f"{seconds}s"


def clock_words(due_at: int | None, now: int) -> str:
    """What a clock of service levels says, in at most nine characters: `0:14` is left, `13h`, `3d`; it is
    `0:11 late`, `3d late`; "" when none runs. Under a minute is `<1m`.
    """
    if due_at is None:
        return ""
    minutes = abs(due_at - now) // 60_000
    if not minutes:
        span = "<1m"
    elif minutes < 600:
        span = f"{minutes // 60}:{minutes % 60:02d}"
    else:
        span = f"{minutes // 60}h" if minutes < 2_880 else f"{min(minutes // 1_440, 999)}d"
    return f"{span} late" if due_at < now else span


def clock_left(due_at: int | None, now: int) -> str:
    """The same where no head of a column says what it is: `0:14 left`, `0:11 late`; "" when none runs."""
    words = clock_words(due_at, now)
    return words if due_at is None or due_at < now else f"{words} left"


_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> int:
    """Seconds of `45s`, `30m`, `12h`, `7d` or `2w`.

    Raises:
        ValueError: it is none of these; the text says what is allowed.
    """
    number, unit = text.strip()[:-1], text.strip()[-1:].lower()
    if number.startswith("-") and unit in _SECONDS:
        raise ValueError("cannot be negative.")
    if unit not in _SECONDS or not (number.isascii() and number.isdigit()) or len(number) > 6:
        raise ValueError("use a number and a unit, such as 45s, 30m, 12h, 7d or 2w.")
    return int(number) * _SECONDS[unit]


def past_moment(text: str, now: int) -> int:
    """Milliseconds of so long ago (`7d`, `7d ago`), or of a date or time (`2026-11-01`, in UTC where it does
    not say).

    Raises:
        ValueError: it is neither, or does not lie before `now`; the text says what is allowed.
    """
    said = text.strip().removesuffix(" ago").strip()
    try:
        at = now - parse_duration(said) * 1000
    except ValueError:
        if said.startswith("-"):
            raise ValueError("cannot be negative: it says how long ago.") from None
        try:
            read = datetime.fromisoformat(said)
        except ValueError:
            raise ValueError(
                "takes how long ago, such as 7d, or a date or time, such as 2026-11-01 or "
                "2026-11-01T14:00:00Z."
            ) from None
        at = int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)
    if at >= now:
        raise ValueError("lies ahead: it looks back.")
    if at <= 0:
        raise ValueError("lies before 1970: there is nothing of that time.")
    return at
