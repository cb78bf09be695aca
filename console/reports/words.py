"""The words of reports in each language, and how numbers, times and spans are written there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import import_module
from typing import Any, Final

from store.reports.figures import Figure, Source
from store.reports.periods import Period, zone_of
from store.text import safe_text

LANGUAGES: Final = ("en", "de", "fr", "es")


@dataclass(frozen=True)
class Words:
    """A language."""

    language: str
    said: Mapping[str, str]
    """Key -> text, with `{name}` for what is put in."""
    months: tuple[str, ...]
    short_months: tuple[str, ...]
    thousands: str
    decimal: str
    before_percent: str
    day: str
    """A date, with `{day}`, `{month}` and `{year}`."""

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key."""
        return self.said[key].format(**values)

    def plural(self, key: str, count: int, source: Source | None = None, **values: object) -> str:
        """`KEY_one` for one, `KEY` for any other number: `{n}`, as `count` has it where it has a source."""
        whole = source is None or source.state == "whole"
        shown = self.number(count) if source is None else self.count(count, source)
        return self(f"{key}_one" if count == 1 and whole else key, n=shown, **values)

    def count(self, value: float, source: Source) -> str:
        """A count: `≥` where its source is a part, `?` where it is not known."""
        if source.state == "unknown":
            return self("unknown_count")
        text = self.number(value)
        return self("at_least", value=text) if source.state == "part" else text

    def of_part(self, text: str, source: Source) -> str:
        """What is no count, such as a share or a median: said to be of a part where its source is one, `?`
        where it is not known."""
        if source.state == "unknown":
            return self("unknown_count")
        return self("in_part", value=text) if source.state == "part" else text

    def warning(self, what: str, why: str) -> str:
        """What is missing and why, as a sentence: a name that ends in a full stop ends it."""
        return self("warning", what=what, why=why.removesuffix("."))

    def number(self, value: float) -> str:
        """1,234 or 1.234: as the language groups digits; a fraction with one digit."""
        text = f"{value:,.1f}" if isinstance(value, float) and not value.is_integer() else f"{value:,.0f}"
        return text.translate({ord(","): self.thousands, ord("."): self.decimal})

    def percent(self, value: float) -> str:
        """98.5 %; never 100 % of what is not all, nor 0 % of what is something."""
        shown = round(value, 1)
        if (shown >= 100 > value) or (shown <= 0 < value):
            shown = 99.9 if value > 50 else 0.1
        return f"{self.number(float(shown))}{self.before_percent}%"

    def figure(self, figure: Figure, *, percent: bool = False) -> str:
        """A figure as it is printed: not known in words, a part as `at least`."""
        if figure.value is None:
            return self("not_known")
        if percent:
            return self.of_part(self.percent(figure.value), figure.source)
        text = self.number(figure.value)
        return self("at_least", value=text) if figure.at_least else text

    def span(self, milliseconds: int | None) -> str:
        """How long something took, in its two largest units: `1 h 05 min`."""
        if milliseconds is None:
            return self("dash")
        minutes = milliseconds / 60_000
        if minutes < 1:
            return self("under_a_minute")
        if minutes < 60:
            return self("minutes", n=self.number(int(minutes)))
        hours, rest = divmod(int(minutes), 60)
        if hours < 48:
            return self("hours", n=self.number(hours)) + (f" {self('minutes', n=rest)}" if rest else "")
        days, left = divmod(hours, 24)
        return self("days", n=self.number(days)) + (f" {self('hours', n=left)}" if left else "")

    def date(self, when: date, *, short: bool = False) -> str:
        """31 October 2026."""
        names = self.short_months if short else self.months
        return self.day.format(day=when.day, month=names[when.month - 1], year=when.year)

    def moment(self, milliseconds: int | None, zone: str) -> str:
        """31 Oct 2026 14:05."""
        if milliseconds is None:
            return self("never")
        when = datetime.fromtimestamp(milliseconds / 1000, zone_of(zone))
        return f"{self.date(when.date(), short=True)} {when:%H:%M}"

    def period(self, period: Period) -> str:
        """October 2026, or 1 Oct 2026 to 14 Oct 2026."""
        if period.is_month:
            return f"{self.months[period.first.month - 1]} {period.first.year}"
        return self(
            "from_to", first=self.date(period.first, short=True), last=self.date(period.last, short=True)
        )

    def dates(self, period: Period) -> str:
        """1 Oct 2026 to 31 Oct 2026 (Europe/Berlin)."""
        first, last = self.date(period.first, short=True), self.date(period.last, short=True)
        return f"{self('from_to', first=first, last=last)} ({period.zone})"

    def age(self, milliseconds: int | None) -> str:
        """How old something was when the report was made."""
        if milliseconds is None:
            return self("never")
        return self("age_now") if milliseconds < 60_000 else self("age", span=self._rough(milliseconds))

    def _rough(self, milliseconds: int) -> str:
        minutes = milliseconds // 60_000
        if minutes < 60:
            return self("minutes", n=minutes)
        if minutes < 48 * 60:
            return self("hours", n=minutes // 60)
        return self("days", n=self.number(minutes // 1440))

    def source(self, source: Source, now: int, zone: str) -> str:
        """What follows the name of a source: about what time, how old, how whole."""
        parts = []
        if source.window is not None:
            parts.append(self.period(source.window))
        if source.organizations is not None:
            parts.append(
                self(
                    "of_organizations",
                    n=self.number(source.organizations[0]),
                    of=self.number(source.organizations[1]),
                )
            )
        if source.name == "triage":
            parts.append(self("read_here", at=self.moment(source.read_at, zone)))
        elif source.read_at is not None:
            parts.append(self("read", at=self.moment(source.read_at, zone), age=self.age(source.age(now))))
        parts.append(self(f"state_{source.state}"))
        parts += [self.note(each.key, each.values, zone) for each in source.notes]
        return " · ".join(parts)

    def note(self, key: str, values: Mapping[str, Any], zone: str) -> str:
        """Why something is not whole."""
        shown = {
            name: self.moment(value, zone)
            if name == "at"
            else self.number(value)
            if isinstance(value, int)
            else safe_text(str(value), 160)
            for name, value in values.items()
        }
        return self(f"note_{key}", **shown)


@cache
def words(language: str) -> Words:
    """A language by its code, of LANGUAGES."""
    found = import_module(f"console.reports.language_{language}")
    return Words(
        language,
        found.WORDS,
        found.MONTHS,
        found.SHORT_MONTHS,
        found.THOUSANDS,
        found.DECIMAL,
        found.BEFORE_PERCENT,
        found.DAY,
    )
