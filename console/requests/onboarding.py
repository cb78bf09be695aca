"""New customers from the console: filled in or read from a file, judged, planned, and made by a run."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from console.limacharlie.errors import LimaCharlieError
from console.operations.onboarding import judge
from console.requests import Handler, Host, RefusedHere, read
from console.requests.runs import Agreed, asking, keep_and_show, telling
from screens.dialogs.onboard import LINES, Cells, Onboard, filled
from screens.dialogs.results import Item, Results
from screens.requests import OnboardOrganizations
from screens.widgets.text import line
from store.access import counted
from store.onboarding import LARGEST, Judged, Known, judged, read_csv
from store.onboardsteps import planned
from store.queries.onboarding import known
from store.text import safe_text

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from screens.requests import Work
    from store.onboarding import Row, Wrong


async def onboard(host: Host, request: OnboardOrganizations) -> Agreed | None:
    """Fill it in, judge it, and show the run that makes it."""
    host.writing_store()
    cloud = host.cloud()
    found = await read(host, known)
    place = found.places.get(request.node)
    cells: Cells = {"node": place.path} if place is not None and place.path else {}
    trouble = ""
    while True:
        dialog = Onboard(
            cells,
            wrong=partial(_wrong, found=found),
            doubtful=partial(_doubtful, found=found),
            trouble=trouble,
        )
        values = await host.ask(dialog)
        if values is None:
            return None
        cells = filled(values)
        verdict, found, source = await _judged(host, cloud, cells)
        if not verdict.stopped:
            return await keep_and_show(host, planned(verdict, found, source=source))
        # What was filled in is there again, to be mended.
        trouble = await _told(host, verdict)


async def _judged(host: Host, cloud: Cloud, cells: Cells) -> tuple[Judged, Known, str]:
    """What is to be said of it, what is known by then, and where it comes from."""
    rows: list[Row] = [(0, dict(cells))]
    wrong: list[Wrong] = []
    source = "name"
    if file := cells.get("file"):
        rows, wrong = await asyncio.to_thread(_read, file)
        source = f"file:{Path(file).name}"
    host.say(f"Judging {counted(len(rows), 'customer')}.")
    try:
        verdict, found = await judge(
            rows, reader=host.context.reader, cloud=cloud, wrong=wrong, report=telling(host, "Judging: ")
        )
    except LimaCharlieError as error:
        raise RefusedHere(str(error)) from error
    host.say("")
    return verdict, found, source


def _wrong(cells: Cells, found: Known) -> str:
    if "file" in cells:
        if len([column for column in cells if column != "node"]) > 1:
            return "Give a file, or the lines of one customer, not both."
        return "" if Path(cells["file"]).expanduser().is_file() else "There is no such file on this machine."
    stopped = judged([(0, cells)], found).stopped
    # Two of them: there is no room for more below so many lines.
    more = f" And {len(stopped) - 2:,} more." if len(stopped) > 2 else ""
    return "\n".join(safe_text(_said(each), 130) for each in stopped[:2]) + more


def _doubtful(cells: Cells, found: Known) -> str:
    if "file" in cells:
        return ""
    return next((_said(each) for each in judged([(0, cells)], found).wrong if each.warning), "")


def _said(wrong: Wrong) -> str:
    """A complaint under the word that stands before the line in the dialog."""
    label = next((label for column, label, _ in LINES if column == wrong.column), wrong.column)
    return f"{label}: {wrong.text}"


def _read(file: str) -> tuple[list[Row], list[Wrong]]:
    try:
        with Path(file).expanduser().open("rb") as opened:
            return read_csv(opened.read(LARGEST + 1))
    except OSError as error:
        raise RefusedHere(f"{safe_text(file, 80)} cannot be read: {error.strerror}.") from error


async def _told(host: Host, verdict: Judged) -> str:
    """Show everything that is wrong where there is more of it than a line holds, else tell it."""
    stopped = verdict.stopped
    if len(stopped) == 1:
        return f"{stopped[0]} Nothing was done."
    lines = len({each.line for each in stopped})
    heading = line(
        (f"{counted(len(stopped), 'mistake')} on {counted(lines, 'line')}; nothing was done.", "bold")
    )
    items = [
        Item(
            str(number),
            f"line {each.line}" if each.line else "",
            each.column,
            "look" if each.warning else "wrong",
            each.text,
            bad=not each.warning,
        )
        for number, each in enumerate(verdict.wrong)
    ]
    await host.ask(Results(heading, items, can_undo=False, kind="COLUMN", where="LINE", short=True))
    return ""


HANDLERS: dict[type[Work], Handler] = {OnboardOrganizations: asking(onboard)}
