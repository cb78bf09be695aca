"""A customer leaves, from the console: what there is of it, what is kept, its typed name, and the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from console.limacharlie.errors import LimaCharlieError
from console.operations import offboarding
from console.operations import runs as operations
from console.requests import Handler, Host, RefusedHere
from console.requests.runs import Agreed, asking
from screens.dialogs.offboard import Offboard
from screens.requests import OffboardOrganization
from store.runs import RunError

if TYPE_CHECKING:
    from screens.requests import Work


async def offboard(host: Host, request: OffboardOrganization) -> Agreed | None:
    """Read what there is, show the checklist, and keep the run that was agreed to."""
    store, cloud = host.writing_store(), host.cloud()
    settings, now = host.settings, host.context.clock()
    if settings is None:
        raise RefusedHere("There is no workspace to export to.")
    directory = offboarding.directory_for(settings.home, settings.environment, request.oid, now)
    wish = offboarding.Wish(directory)
    host.say("Reading what there is of it.")
    try:
        choose = await offboarding.offer(store, cloud, request.oid, wish, brands=settings.brands)
    except (offboarding.OffboardError, LimaCharlieError) as error:
        raise RefusedHere(f"{error} Nothing was done.") from error
    answer = await host.ask(Offboard(lambda keep: choose(keep).checklist, host.context))
    if answer is None:
        host.say("Nothing was sent.")
        return None
    planned = choose(answer.keep).planned
    try:
        number = await asyncio.to_thread(
            lambda: operations.keep(store, planned, operator=host.operator, now=now)
        )
    except RunError as error:
        raise RefusedHere(str(error)) from error
    return number, answer.confirm


HANDLERS: dict[type[Work], Handler] = {OffboardOrganization: asking(offboard)}
