"""A customer's report out of its figures: which blocks, in which words."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from console.reports.brand import Brand
from console.reports.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Paragraph,
    Section,
    Series,
    Table,
    Tile,
    Tiles,
    Tone,
    safe,
)
from console.reports.words import Words, words
from store.reports.customer import CustomerFigures, Ranked, ResponseLine, SeverityLine
from store.reports.figures import Source
from store.sla import Times

TONES: Final[tuple[Tone, ...]] = ("info", "low", "medium", "high", "critical")
"""Indexed like `store.alerts.SEVERITIES`."""


class Composer:
    """What every section needs: the words, the figures, and how a count and a source are written."""

    def __init__(self, found: CustomerFigures, brand: Brand) -> None:
        self.found = found
        self.brand = brand
        self.words = words(brand.language)
        self.zone = found.period.zone

    def count(self, value: float, source: Source) -> str:
        """A count of a table: never a total where its source is a part."""
        return self.words.count(value, source)

    def foot(self, *sources: Source, more: str = "") -> str:
        """The quiet line of a block."""
        return footed(self.words, self.found.now, self.zone, sources, more)


def footed(w: Words, now: int, zone: str, sources: Iterable[Source], more: str = "") -> str:
    """What figures rest on, a line for each source, with more before them."""
    # Sources of which the rest is the same share a line.
    alike: dict[str, list[str]] = {}
    for source in {each.name: each for each in sources}.values():
        alike.setdefault(w.source(source, now, zone), []).append(w(f"source_{source.name}"))
    lines = [f"{w('source', name=', '.join(names))} · {rest}" for rest, names in alike.items()]
    return "\n".join([*([more] if more else []), *lines])


def compose(found: CustomerFigures, brand: Brand) -> Document:
    """The document of a customer's report."""
    made = Composer(found, brand)
    w = made.words
    sections = tuple(
        Section(name, w(f"section_{name}"), blocks)
        for name in brand.sections
        if (blocks := tuple(SECTIONS[name](made)))
    )
    period = w.period(found.period)
    return Document(
        language=brand.language,
        kind=w("customer_kind"),
        title=safe(brand.customer or found.name),
        subtitle=w("so_far", period=period) if found.period.until > found.now else period,
        sections=sections,
        made=f"{w('made', at=w.moment(found.now, made.zone), zone=made.zone)} · {w.dates(found.period)}",
        provider=safe(brand.provider),
        contact=safe(brand.contact, 200),
        warnings=tuple(gaps(found, w)),
    )


def gaps(found: CustomerFigures, w: Words) -> list[str]:
    """What is missing of it, a sentence for each source that is not whole."""
    return [
        w.warning(
            what=w(f"source_{each.name}"),
            why=", ".join(w.note(note.key, note.values, found.period.zone) for note in each.notes)
            or w(f"state_{each.state}"),
        )
        for each in found.all_sources
        # What is decided here is as whole as the alerts it is about: said once.
        if each.state != "whole" and each.name != "triage"
    ]


# Sections


def _summary(made: Composer) -> list[Block]:
    w, alerts = made.words, made.found.alerts
    period, before = made.found.period, w.period(made.found.period.before)
    line = together(alerts.severities)
    if alerts.total.value is None:
        lead = w("lead_unknown", period=w.period(period))
    else:
        said = [
            w(
                "lead",
                alerts=w("n_alerts_one") if alerts.total.value == 1 and not alerts.total.at_least
                else w("n_alerts", n=w.figure(alerts.total)),
                period=w.period(period),
                grave=w.figure(alerts.grave),
            ),
            w.plural("lead_true", line.true_positive, alerts.decided)
            if line.true_positive
            else w("lead_true_none" if alerts.decided.state == "whole" else "lead_true_none_known"),
        ]  # fmt: skip
        if line.open:
            said.append(w.plural("lead_open", line.open, alerts.decided))
        lead = " ".join(said)
    if (
        alerts.before.value is None
        or alerts.total.value is None
        or alerts.total.at_least
        or alerts.before.at_least
    ):
        trend = w("before_unknown", period=before) if alerts.before.value is None else ""
    else:
        more = int(alerts.total.value - alerts.before.value)
        key = "as_many" if not more else "more" if more > 0 else "fewer"
        trend = "" if period.until > made.found.now else w(key, n=w.number(abs(more)), period=before)
    share = ""
    if alerts.total.value:
        percent = w.percent(100 * (alerts.grave.value or 0) / alerts.total.value)
        share = w("share_known" if alerts.total.at_least else "share", percent=percent)
    response, cases, sensors = made.found.response, made.found.cases, made.found.sensors
    met = sum(each.acknowledged.within if each.acknowledged else 0 for each in response.lines)
    of = sum(_clocked(each.acknowledged, each.late_acknowledge) for each in response.lines)
    items = [
        Tile(w("tile_alerts"), w.figure(alerts.total), trend),
        Tile(w("tile_grave"), w.figure(alerts.grave), share, "high" if alerts.grave.value else ""),
        Tile(
            w("tile_true"),
            made.count(line.true_positive, alerts.decided),
            w.plural("false_beside", line.false_positive, alerts.decided),
        ),
    ]
    if response.within.value is not None:
        items.append(
            Tile(
                w("tile_within"),
                w.figure(response.within, percent=True),
                w("of_clocks", met=made.count(met, response.source), of=made.count(of, response.source)),
            )
        )
    if cases is not None:
        items.append(
            Tile(w("tile_cases"), w.figure(cases.opened), w("ended_beside", n=w.figure(cases.ended)))
        )
    items.append(
        Tile(w("tile_sensors"), w.figure(sensors.total), w("online_beside", n=w.figure(sensors.online)))
    )
    resting = [
        alerts.source,
        alerts.decided,
        *([cases.source] if cases else []),
        sensors.source,
        sensors.facts,
    ]
    return [Paragraph(lead), Tiles(tuple(items), made.foot(*resting))]


def together(lines: Iterable[SeverityLine]) -> SeverityLine:
    """All severities in one line."""
    every = list(lines)
    return SeverityLine(
        -1,
        *(
            sum(getattr(line, name) for line in every)
            for name in ("total", "true_positive", "benign", "false_positive", "undecided", "open")
        ),
    )


def _alerts(made: Composer) -> list[Block]:
    w, alerts = made.words, made.found.alerts
    if alerts.source.state == "unknown":
        return [Paragraph(w("lead_unknown", period=w.period(made.found.period)), "bad")]
    first = made.found.period.first
    highest = max(map(sum, alerts.days), default=0)
    chart = Chart(
        w("by_day"),
        tuple(str((first + timedelta(days=day)).day) for day in range(made.found.period.days)),
        tuple(
            Series(w(f"severity_{severity}"), TONES[severity], tuple(day[severity] for day in alerts.days))
            for severity in range(4, -1, -1)
        ),
        made.foot(alerts.source),
        w.count(highest, alerts.source),
        alerts.source.state == "part",
    )
    whole = together(alerts.severities)
    rows = [
        _severity_row(made, each, w(f"severity_{each.severity}"), TONES[each.severity], whole.total)
        for each in alerts.severities
    ]
    rows.append(_severity_row(made, whole, w("total"), "", 0, strong=True))
    table = Table(
        w("by_severity"),
        (
            Column(w("severity"), share=4),
            Column(w("alerts"), "right", 8),
            *(
                Column(w(key), "right", 4)
                for key in ("true_positive", "benign", "false_positive", "undecided", "open")
            ),
        ),
        tuple(rows),
        made.foot(alerts.decided),
    )
    return [
        chart,
        table,
        _ranked(made, "top_rules", "rule", "n_of_rules", alerts.rules, alerts.rule_count),
        _ranked(made, "top_hosts", "host", "n_of_hosts", alerts.hosts, alerts.host_count),
    ]


def _severity_row(
    made: Composer, line: SeverityLine, name: str, tone: Tone, of: int, *, strong: bool = False
) -> tuple[Cell, ...]:
    source = made.found.alerts.source
    numbers = (line.true_positive, line.benign, line.false_positive, line.undecided, line.open)
    return (
        Cell(name, tone, strong=strong),
        Cell(
            made.count(line.total, source), tone, line.total / of if of else None, strong=strong
        ),
        *(Cell(made.count(each, source), "" if each else "quiet", strong=strong) for each in numbers),
    )  # fmt: skip


def _ranked(made: Composer, title: str, column: str, of: str, found: Sequence[Ranked], number: int) -> Table:
    w, source = made.words, made.found.alerts.source
    most = found[0].total if found else 1
    return Table(
        w(title),
        (
            Column(w(column), share=13),
            Column(w("alerts"), "right", 7),
            Column(w("true_positive"), "right", 5),
        ),
        tuple(
            (
                Cell(safe(each.name, 56).strip() or w("dash")),
                Cell(made.count(each.total, source), bar=each.total / most),
                Cell(made.count(each.true_positive, source), "" if each.true_positive else "quiet"),
            )
            for each in found
        ),
        made.foot(source, more=w(of, n=w.number(len(found)), of=w.count(number, source))),
        none_of(w, source),
        half=True,
    )


def none_of(w: Words, source: Source) -> str:
    """Said in place of alerts: that there were none only where all are known."""
    return w({"whole": "no_alerts", "part": "no_alerts_known", "unknown": "not_known"}[source.state])


def _response(made: Composer) -> list[Block]:
    w, response = made.words, made.found.response
    rows = tuple(_response_row(w, each, response.source) for each in response.lines)
    more = " ".join([w("response_note"), *(safe(each, 200) for each in response.problems)])
    table = Table(
        w("response"),
        _response_columns(w),
        rows,
        made.foot(response.source, more=more),
        none_of(w, response.source),
    )
    return [table]


def _response_columns(w: Words) -> tuple[Column, ...]:
    """Of a table of `_response_row`."""
    return (
        Column(w("severity"), share=9),
        Column(w("alerts"), "right", 6),
        *(
            Column(w(key), "right", share, w(group))
            for group in ("to_acknowledge", "to_resolve")
            for key, share in (("target", 9), ("median", 9), ("p90", 9), ("in_time", 12))
        ),
    )


def _response_row(w: Words, each: ResponseLine, source: Source) -> tuple[Cell, ...]:
    """The clocks of one severity."""
    return (
        Cell(w(f"severity_{each.severity}"), TONES[each.severity]),
        Cell(w.count(each.total, source)),
        Cell(w.span(each.acknowledge), "quiet"),
        *_clock(w, each.acknowledged, each.late_acknowledge, source),
        Cell(w.span(each.resolve), "quiet"),
        *_clock(w, each.resolved, each.late_resolve, source),
    )


def _clock(w: Words, times: Times | None, late: int, source: Source) -> tuple[Cell, ...]:
    of = _clocked(times, late)
    share = (times.within if times else 0) / of if of else None
    return (
        Cell(took(w, times.median if times else None, source)),
        Cell(took(w, times.p90 if times else None, source)),
        kept(w, share, source),
    )


def took(w: Words, milliseconds: int | None, source: Source) -> str:
    """A span that was worked out of many; a dash where there were none."""
    text = w.span(milliseconds)
    return text if milliseconds is None and source.state != "unknown" else w.of_part(text, source)


def kept(w: Words, share: float | None, source: Source) -> Cell:
    """How much of what there was met its target.

    Args:
        share: 0 to 1; None where there was nothing to measure.
    """
    if source.state == "unknown":
        return Cell(w("unknown_count"), "quiet")
    if share is None:
        return Cell(w("dash"), "quiet")
    return Cell(w.of_part(w.percent(100 * share), source), "bad" if share < 0.9 else "good", share)


def _clocked(times: Times | None, late: int) -> int:
    return (times.count if times else 0) + late


def _cases(made: Composer) -> list[Block]:
    w, cases = made.words, made.found.cases
    if cases is None:
        return [Paragraph(w("no_case_system"), "quiet")]
    if cases.opened.value is None and not cases.notable:
        return [Paragraph(w("cases_unknown", period=w.period(made.found.period)), "bad")]
    pending, true, false = cases.by_class
    said = [
        w(
            "cases_line",
            opened=w.figure(cases.opened),
            ended=w.figure(cases.ended),
            open=w.figure(cases.open_now),
        )
    ]
    if cases.opened.value:
        said.append(
            w(
                "cases_classes",
                true=made.count(true, cases.source),
                false=made.count(false, cases.source),
                pending=made.count(pending, cases.source),
            )
        )
        said.append(
            w(
                "cases_times",
                ack=took(w, _ms(cases.acknowledge.value), cases.source),
                res=took(w, _ms(cases.resolve.value), cases.source),
            )
        )
    rows = tuple(
        (
            Cell(f"#{each.number}" if each.number > 0 else f"L{-each.number}"),
            Cell(w(f"severity_{each.severity}"), TONES[each.severity]),
            Cell(w.moment(each.created_at, made.zone)),
            Cell(safe(each.summary) or w("dash")),
            Cell(f"{w(f'status_{each.status}')}, {w(f'class_{each.classification}')}"),
        )
        for each in cases.notable
    )
    number = made.count(cases.opened.value or 0, cases.source)
    table = Table(
        w("notable"),
        (
            Column(w("case"), share=3),
            Column(w("severity"), share=4),
            Column(w("opened"), share=7),
            Column(w("summary"), share=22),
            Column(w("state"), share=9),
        ),
        rows,
        made.foot(cases.source, more=w("n_of_cases", n=w.number(len(rows)), of=number)),
        w({"whole": "no_cases", "part": "no_cases_known", "unknown": "not_known"}[cases.source.state]),
    )
    return [Paragraph(" ".join(said), "plain"), table]


def _ms(value: float | None) -> int | None:
    return None if value is None else int(value)


def _sensors(made: Composer) -> list[Block]:
    w, sensors = made.words, made.found.sensors
    most = max((count for _, count, _ in sensors.platforms), default=1)
    said = []
    if sensors.enrolled.value is not None:
        said.append(w.plural("enrolled_line", int(sensors.enrolled.value), sensors.enrolled.source))
    if sensors.quota.value is not None and sensors.quota_used.value is not None:
        said.append(w("quota_line", used=w.figure(sensors.quota_used), quota=w.figure(sensors.quota)))
    said.append(_counted(made))
    return [
        Table(
            w("platforms"),
            (
                Column(w("platform"), share=4),
                Column(w("sensors"), "right", 3),
                Column(w("silent"), "right", 3),
            ),
            tuple(
                (
                    Cell(safe(name) or w("others")),
                    Cell(made.count(count, sensors.source), bar=count / most),
                    Cell(made.count(quiet, sensors.source), "" if quiet else "quiet"),
                )
                for name, count, quiet in sensors.platforms
            ),
            made.foot(sensors.source, sensors.facts, made.found.counts.source, more=" ".join(said)),
            w("no_sensors") if sensors.source.state != "unknown" else w("not_known"),
            half="usage" in made.brand.sections,
        ),
        *(_usage(made) if "usage" in made.brand.sections else ()),
    ]


def _counted(made: Composer) -> str:
    """The first and the last day of the period of which it is known how many there were."""
    w, counts = made.words, made.found.counts
    one, other = counts.found.first, counts.found.last
    if one is None or other is None:
        return w("counted_unknown")
    first, last = (w.date(date.fromisoformat(each.day), short=True) for each in (one, other))
    if counts.change.value is None:
        return w("counted_once", last=w.figure(counts.last), last_day=last)
    more = int(counts.change.value)
    sign = "+" if more > 0 else "\N{MINUS SIGN}"
    change = f"{sign}{w.number(abs(more))}" if more else w("counted_same")
    return w(
        "counted_line",
        first=w.figure(counts.first),
        first_day=first,
        last=w.figure(counts.last),
        last_day=last,
        change=change,
    )


def _usage(made: Composer) -> list[Block]:
    w, usage = made.words, made.found.usage
    return [
        Table(
            w("usage"),
            (Column(w("metric"), share=5), Column(w("amount"), "right", 4)),
            tuple(
                (Cell(_metric(w, metric)), Cell(made.count(value, usage.source)))
                for metric, value in usage.metrics
            ),
            made.foot(
                usage.source,
                more=w(
                    "n_of_metrics",
                    n=w.number(len(usage.metrics)),
                    of=made.count(usage.metric_count, usage.source),
                )
                if len(usage.metrics) < usage.metric_count
                else "",
            ),
            w("no_usage"),
            half="sensors" in made.brand.sections,
        )
    ]


def _usage_alone(made: Composer) -> list[Block]:
    """Beside the sensors where there are any."""
    return [] if "sensors" in made.brand.sections else _usage(made)


def _metric(w: Words, metric: str) -> str:
    key = f"metric_{metric}"
    return w(key) if key in w.said else safe(metric, 40)


SECTIONS: Final[dict[str, Callable[[Composer], list[Block]]]] = {
    "summary": _summary,
    "alerts": _alerts,
    "response": _response,
    "cases": _cases,
    "sensors": _sensors,
    "usage": _usage_alone,
}
"""What a report may have, by the name that a brand calls it."""
