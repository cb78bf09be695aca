"""How long alerts may wait, as each organization's own Cases say: read once, and again a few at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from sqlalchemy import Connection

from console.limacharlie.client import Cloud
from console.limacharlie.errors import Denied, Gone, LimaCharlieError
from store import sla
from store.database import Store
from store.queries.cases import subscribed

log = logging.getLogger(__name__)

AGAIN_AFTER = 86_400_000
"""Milliseconds after which an organization is asked again: nothing tells of a change, and there are few."""

MOST = 20
"""Organizations asked again in one go, so that a thousand of them do not hold a reading up."""

TOGETHER = 50
"""Organizations whose answers are held, and written, at once."""


async def read_case_clocks(
    store: Store,
    cloud: Cloud,
    oids: Collection[str],
    *,
    write: Callable[[Callable[[Connection], Any]], Awaitable[Any]],
    now: int,
) -> int:
    """Read what the Cases of some organizations are configured to; how many told something new.

    One that may not be asked, or does not answer sensibly, is taken to say nothing, and is asked again in a
    day. What has no Cases any more is forgotten.

    Args:
        oids: of which organizations.
        write: runs a write in a transaction.
        now: milliseconds, UTC.
    """

    def known() -> tuple[dict[str, int], set[str]]:
        with store.reader.reading() as connection:
            return sla.case_configurations(connection), subscribed(connection)

    read, having = await asyncio.to_thread(known)
    changed = 0
    for oid in sorted(read.keys() & set(oids) - having):
        changed += await write(partial(sla.drop_case_configuration, oid=oid))
    new = [oid for oid in oids if oid in having and oid not in read]
    due = [oid for oid in oids if oid in having and oid in read and now - read[oid] >= AGAIN_AFTER]
    due.sort(key=lambda oid: (read[oid], oid))
    asked = [*new, *due[:MOST]]
    for at in range(0, len(asked), TOGETHER):
        some = asked[at : at + TOGETHER]
        answers = await asyncio.gather(*(_configuration(cloud, oid) for oid in some))
        told = {oid: answer for oid, answer in zip(some, answers, strict=True) if answer is not None}
        changed += await write(partial(_put, told=told, now=now))
    return changed


def _put(c: Connection, *, told: dict[str, dict[str, Any]], now: int) -> int:
    return sum(
        sla.put_case_configuration(c, oid, configuration, now=now) for oid, configuration in told.items()
    )


async def _configuration(cloud: Cloud, oid: str) -> dict[str, Any] | None:
    """What was answered; {} for a refusal, None when the cloud could not be asked."""
    try:
        return await cloud.organization(oid).case_configuration()
    except (Denied, Gone) as error:
        log.info("how the cases of %s are configured is not told: %s", oid, error)
        return {}
    except LimaCharlieError as error:
        log.warning("how the cases of %s are configured: %s", oid, error)
        return None
