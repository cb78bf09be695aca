"""From a value of an alert to every alert that speaks of it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

from screens.dialogs.choose_value import ChooseValue, ValueChoice
from screens.requests import OpenPivot

if TYPE_CHECKING:
    from console.requests import Handler, Host
    from screens.context import Context
    from screens.requests import Work

MOST = 24
"""Values that are offered; for further ones there is `:pivot VALUE`, and the JSON of the alert."""


async def open_pivot(host: Host, request: OpenPivot) -> None:
    """Offer the values of an alert, and show every alert that speaks of the chosen one."""
    from store.alerts import pivot_line

    found = await asyncio.to_thread(_values, host.context, request.alert_id)
    if found is None:
        host.say("This alert is no longer in the store.", "warning")
        return
    title, organization, choices = found
    if not choices:
        host.say("This alert holds no value to look for. :pivot VALUE looks for any other.")
        return
    dialog = ChooseValue(title, organization, choices, copy=host.copy, cursor=host.context.glyphs.cursor)
    chosen = await host.ask(dialog)
    if chosen is None:
        return
    view = await host.show_mode("alerts")
    cast("Any", view).look_for(pivot_line(chosen.value, chosen.kind))


def _values(context: Context, alert_id: int) -> tuple[str, str, list[ValueChoice]] | None:
    """The alert's title, its organization, and its values with where else they were seen; None when gone."""
    from screens.widgets.alert_detail import seen_briefly, seen_words
    from store.observables import observables
    from store.queries.alerts import detail
    from store.queries.pivot import prevalence

    with context.reader.reading() as connection:
        found = detail(connection, alert_id)
        if found is None:
            return None
        try:
            record = json.loads(found.body)
        except (ValueError, RecursionError):
            record = None
        values = observables(record)[:MOST] if isinstance(record, dict) else []
        now = context.clock()
        choices = []
        for kind, value in values:
            where = prevalence(connection, kind, value)
            choices.append(ValueChoice(kind, value, seen_words(where, now), seen_briefly(where, now)))
    return found.row.cat, found.row.organization, choices


HANDLERS: dict[type[Work], Handler] = {OpenPivot: open_pivot}
