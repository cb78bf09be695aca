"""One rollout in a process of its own: reads its orders as JSON from standard input, and says what it took."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from console.limacharlie.bucket import BURST
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.gates import CloudGates
from console.operations.rollouts import apply
from console.process import settle_memory
from store import models
from store.database import Store
from store.rollouts import keeping, plans
from store.secret import Secret
from store.templates import library
from store.times import now_ms
from store.tree import TreeNode, replace_tree

KEY = b"benchmark" * 4
WAVES = ("10", "10%", "rest")
TEMPLATE = "version: 3\nhives:\n  fp:\n    benchmark: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true}}\n"


def _stage(store: Store, oids: list[str]) -> int:
    """Organizations that were read and have nothing yet, a template on the root, and the plan."""
    now = now_ms()
    organization, sync = models.Organization.__table__, models.SyncState.__table__  # type: ignore[attr-defined]
    with store.writing() as c:
        c.execute(insert(organization), [{"oid": oid, "name": oid, "first_seen": now} for oid in oids])
        c.execute(insert(sync), [{"oid": oid, "subject": "configuration", "checked_at": now} for oid in oids])
        nodes = [TreeNode(id="root", parent=None, name="All")]
        nodes += [TreeNode(id=f"o{n}", parent="root", name=f"O{n}", oid=oid) for n, oid in enumerate(oids)]
        replace_tree(c, nodes)
        library.put(c, "base", "main.yaml", {"main.yaml": TEMPLATE.encode()}, now=now)
        library.assign(c, "root", "base", now=now)
    with store.reader.reading() as c:
        drafted = plans.drafted(c, scope="", key=KEY)
    with store.writing() as c:
        return keeping.keep(c, drafted, title="benchmark", by="me", now=now, words=WAVES)


async def _main(order: dict[str, Any]) -> None:
    store = Store(f"sqlite:///{Path(order['home']) / 'store.db'}")
    # One of the sandbox's organizations refuses everybody.
    plan = _stage(store, [oid for place, oid in enumerate(order["oids"]) if place != 4])
    settle_memory()  # as the command does
    key = UserKey(order["uid"], Secret(order["api_key"]))
    async with Cloud(key, Endpoint.single(order["url"])) as cloud:
        await cloud.who()  # the budget is what the cloud says it is
        asked = cloud.stats.requests
        began, used = time.perf_counter(), time.process_time()
        outcome = await apply(
            plan, store=store, cloud=cloud, key=KEY, operator="me",
            gates=CloudGates(store=store, cloud=cloud, clock=now_ms), approved=lambda c, plan: "",
        )  # fmt: skip
        seconds, budget = time.perf_counter() - began, cloud.limits.now()
        requests = cloud.stats.requests - asked
        found = {
            "seconds": seconds,
            "cpu": time.process_time() - used,
            "requests": requests,
            "rate": budget.rate,
            "allowed": max(requests - BURST, 1) / budget.rate,
            "throttled": budget.throttled,
            "state": outcome.state,
            "applied": outcome.applied,
            "failed": len(order["oids"]) - 1 - outcome.applied,
            "halted": outcome.halted,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    print(json.dumps(found), flush=True)
    store.close()


if __name__ == "__main__":
    asyncio.run(_main(json.load(sys.stdin)))
