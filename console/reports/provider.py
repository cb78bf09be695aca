"""The provider's own reports over all customers: for its management, and about its service levels."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from console.reports.brand import Brand
from console.reports.customer import TONES, footed, kept, none_of, together
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
    safe,
)
from console.reports.words import Words, words
from store.reports.figures import Source
from store.reports.provider import Clock, CustomerLine, ProviderFigures

CUSTOMERS: Final = 60
"""Rows of a table of customers; how many more there are is said."""
NAMED: Final = 3
"""Customers that a warning names."""


def executive(found: ProviderFigures, brand: Brand) -> Document:
    """What the provider's management reads."""
    w = words(brand.language)
    others = tuple(_lacking(w, each.source) for each in (found.cases, found.sensors, found.online))
    others = tuple(each for each in others if each)
    return _document(
        found,
        brand,
        w("executive_kind"),
        (
            Section("summary", w("section_summary"), tuple(_summary(found, w))),
            Section("alerts", w("section_alerts"), tuple(_alerts(found, w))),
            Section("customers", w("section_customers"), (_customers(found, w),)),
            Section("missing", w("section_missing"), tuple(_missing(found, w, *others))),
        ),
        others,
    )


def levels(found: ProviderFigures, brand: Brand) -> Document:
    """How far the service levels were kept."""
    w = words(brand.language)
    return _document(
        found,
        brand,
        w("sla_kind"),
        (
            Section("summary", w("section_summary"), (_level_tiles(found, w),)),
            Section("levels", w("section_levels"), (_levels(found, w),)),
            Section("by_customer", w("section_by_customer"), (_by_customer(found, w),)),
            Section("missing", w("section_missing"), tuple(_missing(found, w))),
        ),
    )


def _document(
    found: ProviderFigures,
    brand: Brand,
    kind: str,
    sections: tuple[Section, ...],
    others: Sequence[str] = (),
) -> Document:
    w = words(brand.language)
    period, zone = w.period(found.period), found.period.zone
    return Document(
        language=brand.language,
        kind=kind,
        title=safe(found.name) or w("all_customers"),
        subtitle=w("so_far", period=period) if found.period.until > found.now else period,
        sections=sections,
        made=f"{w('made', at=w.moment(found.now, zone), zone=zone)} · {w.dates(found.period)}",
        provider=safe(brand.provider),
        contact=safe(brand.contact, 200),
        warnings=(*gaps(found, w), *others),
    )


def gaps(found: ProviderFigures, w: Words) -> list[str]:
    """How many customers' alerts are not wholly known, and who they are."""
    missing = found.missing
    if not missing:
        return []
    names = ", ".join(safe(each.name, 40) for each in missing[:NAMED])
    more = f" (+{w.number(len(missing) - NAMED)})" if len(missing) > NAMED else ""
    return [
        w.warning(
            what=w(
                "of_organizations",
                n=w.number(len(found.customers) - len(missing)),
                of=w.number(len(found.customers)),
            ),
            why=w("note_missing", names=names + more),
        )
    ]


def _lacking(w: Words, source: Source) -> str:
    """Of how many organizations a sum is made that is not about alerts; "" where it is whole."""
    if source.state == "whole" or source.organizations is None:
        return ""
    n, of = map(w.number, source.organizations)
    return w.warning(what=w(f"source_{source.name}"), why=w("of_organizations", n=n, of=of))


def _foot(found: ProviderFigures, w: Words, *resting: Source, more: str = "") -> str:
    return footed(w, found.now, found.period.zone, resting, more)


def _summary(found: ProviderFigures, w: Words) -> list[Block]:
    line = together(found.severities)
    whole = len(found.customers) - len(found.missing)
    tiles = (
        Tile(
            w("customers_tile"),
            w.number(len(found.customers)),
            w("customers_detail", n=w.number(whole), of=w.number(len(found.customers))),
        ),
        Tile(w("tile_alerts"), w.figure(found.total)),
        Tile(w("tile_grave"), w.figure(found.grave), "", "high" if found.grave.value else ""),
        Tile(
            w("tile_true"),
            w.count(line.true_positive, found.decided),
            w.plural("false_beside", line.false_positive, found.decided),
        ),
        _clock_tile(w, w("tile_within"), found.acknowledge, found.decided),
        Tile(w("tile_cases"), w.figure(found.cases)),
        Tile(w("tile_sensors"), w.figure(found.sensors), w("online_beside", n=w.figure(found.online))),
    )
    foot = _foot(
        found, w, found.source, found.decided, found.cases.source, found.sensors.source, found.online.source
    )
    return [Tiles(tiles, foot)]


def _clock_tile(w: Words, label: str, clock: Clock, source: Source) -> Tile:
    return Tile(
        label,
        kept(w, clock.share, source).text,
        w("of_clocks", met=w.count(clock.met, source), of=w.count(clock.of, source)) if clock.of else "",
    )


def _alerts(found: ProviderFigures, w: Words) -> list[Block]:
    if found.source.state == "unknown":
        return [Paragraph(w("lead_unknown", period=w.period(found.period)), "bad")]
    first = found.period.first
    chart = Chart(
        w("by_day"),
        tuple(str((first + timedelta(days=day)).day) for day in range(found.period.days)),
        tuple(
            Series(w(f"severity_{severity}"), TONES[severity], tuple(day[severity] for day in found.days))
            for severity in range(4, -1, -1)
        ),
        _foot(found, w, found.source),
        w.count(max(map(sum, found.days), default=0), found.source),
        found.source.state == "part",
    )
    return [chart]


def _customers(found: ProviderFigures, w: Words) -> Table:
    ordered = sorted(found.customers, key=lambda each: (-each.grave, -each.line.total, each.name.casefold()))
    shown = ordered[:CUSTOMERS]
    most = max((each.grave for each in shown), default=0) or 1

    def row(each: CustomerLine) -> tuple[Cell, ...]:
        return (
            Cell(safe(each.name, 56)),
            Cell(w.count(each.line.total, each.source)),
            Cell(
                w.count(each.grave, each.source),
                "high" if each.grave else "quiet",
                None if each.source.state == "unknown" else each.grave / most,
            ),
            Cell(w.count(each.line.true_positive, each.source)),
            Cell(w.count(each.line.open, each.source)),
            kept(w, each.acknowledge.share, each.source),
            Cell(w("unknown_count") if each.sensors is None else w.number(each.sensors)),
        )

    return Table(
        w("customers"),
        (
            Column(w("customer"), share=14),
            Column(w("alerts"), "right", 5),
            Column(w("grave"), "right", 8),
            Column(w("true_positive"), "right", 5),
            Column(w("open"), "right", 5),
            Column(w("in_time"), "right", 9),
            Column(w("sensors"), "right", 5),
        ),
        tuple(row(each) for each in shown),
        _foot(found, w, found.source, found.decided, found.sensors.source, more=_of(w, shown, ordered)),
        w("no_customers"),
    )


def _of(w: Words, shown: Sequence[object], every: Sequence[object]) -> str:
    return w("n_of_customers", n=w.number(len(shown)), of=w.number(len(every)))


def _level_tiles(found: ProviderFigures, w: Words) -> Tiles:
    whole = len(found.customers) - len(found.missing)
    return Tiles(
        (
            Tile(
                w("customers_tile"),
                w.number(len(found.customers)),
                w("customers_detail", n=w.number(whole), of=w.number(len(found.customers))),
            ),
            Tile(w("tile_alerts"), w.figure(found.total)),
            _clock_tile(w, w("acknowledge_in_time"), found.acknowledge, found.decided),
            _clock_tile(w, w("resolve_in_time"), found.resolve, found.decided),
            Tile(w("waiting_late"), w.count(found.acknowledge.late + found.resolve.late, found.decided)),
        ),
        _foot(found, w, found.source, found.decided),
    )  # fmt: skip


def _clock_columns(w: Words, first: str) -> tuple[Column, ...]:
    return (
        Column(w(first), share=12),
        Column(w("alerts"), "right", 5),
        *(
            Column(w(key), "right", share, w(group))
            for group in ("to_acknowledge", "to_resolve")
            for key, share in (("in_time", 9), ("met", 7), ("waiting_late", 6))
        ),
    )


def _clock_cells(w: Words, clock: Clock, source: Source) -> tuple[Cell, ...]:
    return (
        kept(w, clock.share, source),
        Cell(
            f"{w.count(clock.met, source)} / {w.count(clock.of, source)}" if clock.of else w("dash"), "quiet"
        ),
        Cell(w.count(clock.late, source), "bad" if clock.late and source.state != "unknown" else "quiet"),
    )


def _levels(found: ProviderFigures, w: Words) -> Table:
    return Table(
        w("levels"),
        _clock_columns(w, "severity"),
        tuple(
            (
                Cell(w(f"severity_{each.severity}"), TONES[each.severity]),
                Cell(w.count(each.total, found.source)),
                *_clock_cells(w, each.acknowledge, found.decided),
                *_clock_cells(w, each.resolve, found.decided),
            )
            for each in found.levels
        ),
        _foot(found, w, found.decided, more=w("response_note")),
        none_of(w, found.source),
    )


def _by_customer(found: ProviderFigures, w: Words) -> Table:
    def rank(each: CustomerLine) -> tuple[float, float, str]:
        acknowledge, resolve = each.acknowledge.share, each.resolve.share
        return (
            2.0 if acknowledge is None else acknowledge,
            2.0 if resolve is None else resolve,
            each.name.casefold(),
        )

    ordered = sorted(found.customers, key=rank)
    shown = ordered[:CUSTOMERS]
    return Table(
        w("by_customer"),
        _clock_columns(w, "customer"),
        tuple(
            (
                Cell(safe(each.name, 56)),
                Cell(w.count(each.line.total, each.source)),
                *_clock_cells(w, each.acknowledge, each.source),
                *_clock_cells(w, each.resolve, each.source),
            )
            for each in shown
        ),
        _foot(found, w, found.decided, more=_of(w, shown, ordered)),
        w("no_customers"),
    )


def _missing(found: ProviderFigures, w: Words, *others: str) -> Iterable[Block]:
    """Whose alerts are not wholly known, and what else lacks somebody."""
    missing = found.missing
    if others:
        yield Paragraph(" ".join(others), "plain")
    elif not missing:
        yield Paragraph(w("nothing_missing"), "plain")
    if not missing:
        return
    shown = missing[:CUSTOMERS]
    yield Table(
        w("missing_table"),
        (Column(w("customer"), share=5), Column(w("state"), share=2), Column(w("why"), share=9)),
        tuple(
            (
                Cell(safe(each.name, 56)),
                Cell(w(f"state_{each.source.state}")),
                Cell(
                    ", ".join(w.note(note.key, note.values, found.period.zone) for note in each.source.notes)
                ),
            )
            for each in shown
        ),
        _of(w, shown, missing),
    )
