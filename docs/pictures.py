"""Make the pictures of the README from the console itself, on a sandbox with a fixed seed and clock.

`make pictures` runs it; it writes docs/pictures/*.svg, which load nothing from anywhere.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from textual.pilot import Pilot

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations import reviews
from console.operations.billing import import_prices
from console.operations.sync import Sync
from console.operations.tree import import_nodes
from console.sandbox import engineering
from console.sandbox.server import Sandbox
from console.sandbox.shifts import play
from console.sandbox.world import World
from store.database import Store
from store.examplebook import TEXT
from store.reviews import ATTESTED, REVOKED, Wanted, lines
from store.secret import Secret

NOW = 1_795_176_000_000
"""2026-11-20T12:00:00Z."""
HOUR = 3_600_000

PICTURES: dict[str, tuple[str, Sequence[str]]] = {
    "overview": ("overview", ()),
    "organizations": ("organizations", ("j", "enter")),
    "analytics": ("organizations", ("j", "j", "l", "j", "enter", "right_square_bracket")),
    "billing": ("billing", ("j",)),
    "reports": ("reports", ("j",)),
    "alerts": ("alerts", ("j", "j", "j", "enter")),
    "close": ("alerts", ("space", "j", "space", "x")),
    "access": ("alerts", ("j", "j", "m", "j", "enter")),
    "findings": ("findings", ("j",)),
    "apikeys": ("apikeys", ("j", "j")),
    "review": ("review", ("enter", "j", "j")),
    "drift": ("drift", ("j",)),
    "rollout": ("rollouts", ("enter", "j", "j", "j")),
    "cases": ("cases", ("j", "enter")),
    "activity": ("activity", ()),
}
"""name -> (the view to begin with, the keys to press)."""

_FONTS = re.compile(r"@font-face\s*\{[^}]*\}")


async def _fill(store: Store) -> None:
    world = World(seed=7, orgs=216, detections=12_000, now_ms=NOW)
    served = Sandbox(world)
    url = await served.start()
    try:
        import_nodes(world.tree(), store=store, known_only=False)
        root = world.access.users[world.access.root]
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(url)) as cloud:
            await Sync(
                store=store,
                cloud=cloud,
                redaction_key=b"p" * 32,
                since=30 * 86_400,
                clock=lambda: NOW,
            ).run()
            engineer = world.access.engineers[0]
            engineering.stock(store, by=engineer, now=NOW)
            await engineering.roll_out(store, cloud, key=b"p" * 32, by=engineer, clock=lambda: NOW)
        play(store, world.access.analysts, NOW)
        import_prices(store, TEXT.encode(), file="example", by="dana", now=NOW)
        _review(store)
    finally:
        await served.stop()


def _review(store: Store) -> None:
    """An access review of who may give access, begun and decided in part."""
    title, wanted = "Who may give access, fourth quarter", Wanted(permission="user.ctrl")
    review = reviews.start(store, title, wanted, operator="priya", now=NOW - 3 * HOUR).id
    with store.reader.reading() as connection:
        found = lines(connection, review)
    for verdict, words, reason in (
        (
            ATTESTED,
            ("member", "Platform Administrators"),
            "runs the platform, agreed with the head of the SOC",
        ),
        (REVOKED, ("direct", "carlos.tran"), "left in spring"),
    ):
        chosen = [
            (line.id, line.version)
            for line in found
            if line.kind == words[0] and words[1] in (str(line.principal) + str(line.group))
        ]
        reviews.decide(store, review, chosen, verdict, operator="priya", reason=reason, now=NOW - HOUR)


async def _still(app: Console, pilot: Pilot[int]) -> str:
    """The screen, once it was the same four times in a row: the clock stands, so whatever changes is read."""
    before, same = "", 0
    while same < 3:
        await pilot.pause(0.3)
        shown = app.export_screenshot(title="limegrove")
        before, same = shown, same + 1 if shown == before else 0
    return before


async def _picture(store_url: str, view: str, keys: Sequence[str]) -> str:
    app = Console(
        open_store=lambda: Store(store_url),
        environment="demo",
        writable=True,
        clock=lambda: NOW + 42_000,
        view=view,
        redaction_key=lambda: b"p" * 32,
    )
    async with app.run_test(size=(100, 30)) as pilot:
        shown = await _still(app, pilot)
        for key in keys:
            await pilot.press(key)
            shown = await _still(app, pilot)
        return _FONTS.sub("", shown)


async def main() -> None:
    """Fill one store, and take every picture of it."""
    directory = Path(__file__).parent / "pictures"
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        url = f"sqlite:///{home}/limegrove/store.db"
        store = Store(url)
        await _fill(store)
        store.close()
        wanted = sys.argv[1:] or PICTURES
        for name in wanted:
            view, keys = PICTURES[name]
            svg = await _picture(url, view, keys)
            (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
            print(f"{name}.svg: {len(svg)} bytes")


if __name__ == "__main__":
    asyncio.run(main())
