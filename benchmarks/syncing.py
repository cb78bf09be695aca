"""One sync in a process of its own: reads its orders as JSON from standard input, a line each, and says what
each pass took."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations.sync import Sync
from console.process import settle_memory
from store.database import Store
from store.secret import Secret


async def _main(order: dict[str, Any]) -> None:
    home = Path(order["home"])
    key = UserKey(order["uid"], Secret(order["api_key"]))
    store = Store(f"sqlite:///{home / 'store.db'}")
    # The cloud's budget is not what is measured, and a sandbox has none to protect.
    cloud = Cloud(
        key, Endpoint.single(order["url"]), concurrency=order["concurrency"], limits=Limits.unlimited()
    )
    settle_memory()  # as the command does
    async with cloud:
        for passing in range(order["passes"]):
            if passing and order["change"]:
                from tests.helpers.changes import CHANGES, make

                await make(cloud, order["change"], Random(passing), len(CHANGES))
            print(json.dumps(await _pass(cloud, store, order, None)), flush=True)
        if order["change"]:
            fresh = Store(f"sqlite:///{home / 'fresh.db'}")
            await _pass(cloud, fresh, order, order["change"])
            print(json.dumps({"missed": _missed(store, fresh, set(order["change"]))}), flush=True)
            fresh.close()
    store.close()


async def _pass(cloud: Cloud, store: Store, order: dict[str, Any], oids: list[str] | None) -> dict[str, Any]:
    began, used = time.perf_counter(), time.process_time()
    sync = Sync(
        store=store,
        cloud=cloud,
        redaction_key=b"benchmark" * 4,
        since=30 * 86_400,
        oids=oids,
        workers=order["concurrency"],
    )
    outcome = await sync.run()
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - used,
        "requests": outcome.requests,
        "organizations": outcome.organizations,
        "failed": len(outcome.failed),
        "rows": outcome.rows_changed,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _missed(store: Store, fresh: Store, oids: set[str]) -> list[str]:
    """The tables in which some organizations differ from what a new store says of them."""
    from sqlmodel import SQLModel

    from tests.helpers.dump import STAMPS, current

    ours, theirs = current(store), current(fresh)
    missed = []
    for name, rows in theirs.items():
        names = [
            column.name for column in SQLModel.metadata.tables[name].columns if column.name not in STAMPS
        ]
        if "oid" not in names or name in ("sync_state", "group_organization"):
            continue
        place = names.index("oid")
        if [row for row in ours[name] if row[place] in oids] != [row for row in rows if row[place] in oids]:
            missed.append(name)
    for name in ("organization_group", "group_member", "group_organization"):
        if ours[name] != theirs[name]:
            missed.append(name)
    return missed


if __name__ == "__main__":
    asyncio.run(_main(json.load(sys.stdin)))
