"""A document as one HTML file: printable, without a script, and asking nobody for anything."""

import base64
import hashlib
from functools import cache
from typing import Any

from console.reports.brand import Brand
from console.reports.document import Chart, Document, Table, Tiles, rows_of
from console.reports.fonts import carried
from console.reports.words import words

_WIDTH, _HEIGHT, _AXIS = 720, 130, 16
"""Of a chart, in units of its own; the axis is below."""


def html(document: Document, brand: Brand) -> str:
    """The file's text.

    Everything is escaped by the template engine; the style sheet is the only thing that may run, by its hash.
    """
    from markupsafe import Markup

    environment = _environment()
    style = environment.get_template("report.css.jinja").render(
        colour=brand.colour,
        accent=brand.accent,
        paper=brand.paper,
        regular=carried("Regular"),
        bold=carried("Bold"),
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return str(
        environment.get_template("report.html.jinja").render(
            document=document,
            # Made of our own text and colours that were judged: no stranger's.
            style=Markup(style),  # noqa: S704
            style_hash=f"sha256-{digest}",
            logo=base64.b64encode(brand.logo).decode(),
            logo_size=_shown(brand.logo_size),
            missing=words(document.language)("missing"),
        )
    )


def _shown(size: tuple[int, int]) -> tuple[int, int]:
    """Pixels in which a logo is drawn: at most 46 high and 220 wide."""
    if not all(size):
        return (0, 0)
    scale = min(46 / size[1], 220 / size[0], 1.0)
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("console.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        rows_of=rows_of,
        kind_of=lambda block: type(block).__name__,
        chart=_chart,
        foot=_foot,
        shares=_shares,
        severities=("critical", "high", "medium", "low", "info"),
    )
    return made


def _foot(block: Tiles | Chart | Table) -> Any:
    from markupsafe import Markup

    return Markup('<p class="foot">{}</p>').format(block.foot) if block.foot else ""


def _shares(table: Table) -> list[str]:
    """The width of each column, in percent."""
    whole = sum(column.share for column in table.columns)
    return [f"{100 * column.share / whole:.2f}" for column in table.columns]


def _chart(chart: Chart) -> Any:
    """Stacked bars as SVG, drawn here of numbers and escaped words."""
    from markupsafe import Markup

    number = max(1, len(chart.days))
    highest = max(1, chart.highest)
    step = _WIDTH / number
    thick = max(1.0, step * 0.72)
    high = _HEIGHT - _AXIS - 12
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT, chart.title
        ),
        Markup('<rect x="0" y="{}" width="{}" height="1" class="f-axis"/>').format(12, _WIDTH),
        Markup('<rect x="0" y="{}" width="{}" height="1" class="f-axis"/>').format(12 + high, _WIDTH),
        Markup('<text x="0" y="9">{}</text>').format(chart.top),
    ]
    every = max(1, -(-number // 31))
    for day in range(number):
        x = day * step + (step - thick) / 2
        y = 12.0 + high
        for series in reversed(chart.series):
            if value := series.values[day]:
                tall = high * value / highest
                y -= tall
                parts.append(
                    Markup(
                        '<rect x="{:.1f}" y="{:.2f}" width="{:.1f}" height="{:.2f}" class="f-{}"/>'
                    ).format(x, y, thick, tall, series.tone)
                )
        if day % every == 0:
            parts.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    day * step + step / 2, _HEIGHT - 4, chart.days[day]
                )
            )
    return Markup("").join([*parts, Markup("</svg>")])
