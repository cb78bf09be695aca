"""What the provider's engineers did before the demo began: templates on the tree, and their rollouts.

As `shifts` does for the queue: through the same functions as the commands, so that nothing can tell it apart.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from console.sandbox import library
from store.times import now_ms

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store

EVERY: Final = 0.5
"""Seconds between two looks whether the configurations were read."""


def stock(store: "Store", *, by: str, now: int) -> None:
    """Put the templates on the tree, as `template import` and `template assign` do.

    Args:
        now: milliseconds, UTC.
    """
    from store.templates.library import assign, put
    from store.tree import stored_tree

    with store.writing() as connection:
        there = {node.id for node in stored_tree(connection)}
        for name, (nodes, text) in library.documents().items():
            main = f"{name}.yaml"
            put(connection, name, main, {main: text.encode()}, by=by, now=now)
            for node in sorted(there.intersection(nodes)):
                assign(connection, node, name, by=by, now=now)


async def roll_out(
    store: "Store", cloud: "Cloud", *, key: bytes, by: str, clock: Callable[[], int] = now_ms
) -> None:
    """Once their configurations are read: roll one template out, and plan the next one.

    Args:
        key: the installation's redaction key.
        clock: milliseconds, UTC.
    """
    mine = _Engineer(store, cloud, key, by, clock)
    await mine.apply("europe-gold", "Credential dumping tools", ("canary", "rest"))
    await mine.plan("americas-gold", "Remote access tools", ("canary", "10%", "rest"))


@dataclass(frozen=True, slots=True)
class _Engineer:
    store: "Store"
    cloud: "Cloud"
    key: bytes
    by: str
    clock: Callable[[], int]

    async def plan(self, scope: str, title: str, waves: Sequence[str]) -> int | None:
        """Plan for the organizations below a node, once each was read or could not be; None for nothing."""
        while await asyncio.to_thread(self._unread, scope):  # noqa: ASYNC110  (the store has no event for it)
            await asyncio.sleep(EVERY)
        return await asyncio.to_thread(self._planned, scope, title, waves)

    async def apply(self, scope: str, title: str, waves: Sequence[str]) -> None:
        """Plan, and roll it out."""
        from console.operations import rollouts
        from console.operations.gates import Bounds, CloudGates

        number = await self.plan(scope, title, waves)
        if number is None:
            return
        await rollouts.apply(
            number,
            store=self.store,
            cloud=self.cloud,
            key=self.key,
            operator=self.by,
            gates=CloudGates(store=self.store, cloud=self.cloud, bounds=Bounds(), clock=self.clock),
            confirm=await asyncio.to_thread(self._typed, number),
            approved=lambda _connection, _plan: "",  # so few need no second person
            now=self.clock,
        )

    def _unread(self, scope: str) -> bool:
        """Whether there is an organization below a node of whose configuration nothing is known yet."""
        from sqlalchemy import select

        from store.models import SyncState
        from store.queries.scopes import oids_of

        state = SyncState.__table__  # type: ignore[attr-defined]
        looked = select(state.c.oid).where(
            state.c.subject == "configuration", state.c.checked_at.is_not(None) | (state.c.failure != "")
        )
        with self.store.reader.reading() as connection:
            below = oids_of(connection, scope)
            wanted = set() if below is None else set(connection.execute(below).scalars())
            return not wanted <= set(connection.execute(looked).scalars())

    def _planned(self, scope: str, title: str, waves: Sequence[str]) -> int | None:
        from store.rollouts import keeping, plans

        with self.store.reader.reading() as connection:
            mark = plans.newest_record(connection)
            drafted = plans.drafted(connection, scope=scope, key=self.key)
        now = self.clock()
        with self.store.writing() as connection:
            plans.remember(connection, drafted, now=now, mark=mark)
            if not drafted.changes:
                return None
            return keeping.keep(connection, drafted, title=title, by=self.by, now=now, words=waves)

    def _typed(self, number: int) -> str:
        """What is typed for the protected ones of a plan."""
        from store.accessplans import phrase, protected
        from store.rollouts import keeping

        with self.store.reader.reading() as connection:
            oids = {step.change.oid for step in keeping.steps(connection, number)}
            return phrase(protected(connection, oids))
