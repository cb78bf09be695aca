"""A store in which everything that a stranger could name is named by one."""

import json
from typing import Any

from sqlalchemy import Connection

from store import ingest, runs
from store.database import Store
from store.runs import Planned, PlannedItem, PlannedStep
from store.tree import TreeNode, replace_tree
from tests.corpus.strings import CORPUS, everything
from tests.helpers.screens import detection, oid_of

ORGANIZATIONS = 24


def names() -> list[str]:
    """Two of each category that can be a name: not empty, not endless."""
    return [text for texts in CORPUS.values() for text in [t for t in texts if 0 < len(t) <= 300][:2]]


def fill_with_hostility(store: Store, now: int) -> int:
    """The whole corpus in detections (category, rule, host, command line, user, keys), and a share of it in the
    names of organizations, nodes, users, groups, keys and errors; the number of detections put.

    Args:
        now: milliseconds, UTC.
    """
    chosen = names()
    texts = everything()
    with store.writing() as c:
        ingest.put_groups(
            c,
            [
                {
                    "group_id": f"g{n}", "name": chosen[n + 5], "owners": [], "members": [f"{chosen[n]}@evil.test"],
                    "orgs": [{"org_id": oid_of(n), "org_name": chosen[n]}], "perms": ["org.get", "dr.set"],
                }
                for n in range(ORGANIZATIONS)
            ],
            now=now,
        )  # fmt: skip
        ingest.put_organizations(
            c,
            [
                {"oid": oid_of(n), "name": chosen[n], "region": chosen[-n - 1], "sensor_quota": 9}
                for n in range(ORGANIZATIONS)
            ],
            complete=True,
            now=now - 86_400_000,
        )
        nodes = [TreeNode(id="root", parent=None, name="Provider")]
        nodes += [
            TreeNode(id=f"n{n}", parent="root", name=chosen[n], oid=oid_of(n), labels={"tier": chosen[n + 1]})
            for n in range(ORGANIZATIONS - 4)
        ]
        replace_tree(c, nodes)
        records: dict[str, list[bytes]] = {oid_of(n): [] for n in range(ORGANIZATIONS)}
        for number, text in enumerate(texts):
            oid = oid_of(number % ORGANIZATIONS)
            records[oid].append(_hostile(number, oid, text, now - number * 60_000))
        for n, (oid, found) in enumerate(records.items()):
            made = [ingest.detection_from(raw, oid, received=now) for raw in found]
            ingest.put_detections(c, oid, made)
            ingest.put_access(c, oid, _permissions(chosen, n), now=now)
            ingest.put_keys(
                c,
                oid,
                {f"{n:064x}": {"name": chosen[n + 3], "priv": ["org.get"], "by": chosen[n + 4]}},
                now=now,
            )
            ingest.put_errors(c, oid, [{"component": chosen[n], "error": chosen[n + 1], "ts": now // 1000}])
            for subject in ("detections", "access", "orgs"):
                ingest.put_sync_state(
                    c, oid, subject, checked_at=now - 42_000, attempted_at=now - 40_000,
                    failure="auth" if n % 5 == 0 else "", reason=chosen[n + 2] if n % 5 == 0 else "",
                )  # fmt: skip
        _run(c, chosen, now)
    return len(texts)


def _run(c: Connection, chosen: list[str], now: int) -> None:
    """One that failed everywhere, in words of strangers."""
    items = tuple(
        PlannedItem(
            oid_of(n), chosen[n],
            steps=tuple(
                PlannedStep("sensor.tag", chosen[n], {"tag": text, "hostname": text}) for text in chosen[n : n + 4]
            ),
        )
        for n in range(ORGANIZATIONS)
    )  # fmt: skip
    run_id = runs.keep(c, Planned("bulk", chosen[0], items, chosen[1]), by=chosen[2], now=now)
    for step in runs.steps(c, run_id):
        runs.settle(c, run_id, step, "failed", now=now, error=chosen[step.item])
        runs.settle_item(c, run_id, step.item, "failed", reason=chosen[step.item])


def _permissions(chosen: list[str], n: int) -> dict[str, Any]:
    users = {f"{text}@evil.test": ["org.get", "dr.set"] for text in chosen[n : n + 6]}
    return {
        "user_permissions": users,
        "direct_users": [{"email": email, "perms": perms} for email, perms in users.items()],
        "from_groups": {},
        "group_info": {},
    }


def _hostile(number: int, oid: str, text: str, at: int) -> bytes:
    made = detection(number, oid, at=at, cat=text[:400], source_rule=text[:400], author=text[:400])
    record = json.loads(made)
    record["routing"]["hostname"] = text[:400]
    record["detect"]["event"] |= {
        "COMMAND_LINE": text,
        "FILE_PATH": text,
        "USER_NAME": text,
        text[:200]: text,
    }
    record["detect_mtd"]["description"] = text
    record["rule_tags"] = [text[:200]]
    return json.dumps(record).encode()
