"""Who may do what, changed in a real terminal of 80x24 by keyboard alone, and read back from the cloud."""

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from screens.keys import MODES
from store.closure import World
from store.database import Store
from store.queries.scopes import marked
from store.secret import Secret
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process
from tests.helpers.tmux import MISSING, Tmux

pytestmark = [pytest.mark.tmux, pytest.mark.skipif(MISSING, reason="tmux is not installed")]

Answer = TypeVar("Answer")

STAGE = ["--orgs", "12", "--detections", "50", "--live-rate", "0"]
ACCESS = str([name for name, _ in MODES].index("access") + 1)


@dataclass
class Desk:
    """A provider with a sandbox for its cloud, and the store of one administrator."""

    home: Path
    stage: dict[str, Any]
    store: Store

    def console(self) -> Tmux:
        command = ["sh", "-c", f"cd {ROOT} && exec {sys.executable} -m console"]
        return Tmux(command, as_user(self.home, self.stage, LIMEGROVE_OPERATOR="mk", LANG="C.UTF-8"))

    def world(self) -> World:
        with self.store.reader.reading() as connection:
            return World.load(connection)

    def cloud(self, ask: Callable[[Cloud], Coroutine[Any, Any, Answer]]) -> Answer:
        """What the sandbox itself says."""

        async def go() -> Answer:
            key = UserKey(self.stage["uid"], Secret(self.stage["api_key"]))
            async with Cloud(key, Endpoint.single(self.stage["url"])) as cloud:
                return await ask(cloud)

        return asyncio.run(go())

    def members(self, gid: str) -> set[str]:
        """The members of a group, as the sandbox has them."""

        async def read(cloud: Cloud) -> set[str]:
            return set((await cloud.group(gid))["members"])

        return self.cloud(read)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The sandbox, read once."""
    with sandbox_process(tmp_path / "stage", *STAGE) as (stage, _):
        done = limegrove("sync", env=as_user(tmp_path, stage))
        assert done.returncode in (0, 3), done.stderr
        with closing(Store(f"sqlite:///{tmp_path / 'limegrove' / 'default' / 'store.db'}")) as store:
            yield Desk(tmp_path, stage, store)


def line(screen: str, number: int) -> str:
    return screen.splitlines()[number]


def on_the_row(screen: str, email: str) -> bool:
    """Whether the cursor is on somebody; a `!` stands there when a finding is about him."""
    return re.search(rf"> u!? *{re.escape(email[:16])}", screen) is not None


def test_a_member_leaves_a_group_by_keys_alone_and_comes_back(desk: Desk) -> None:
    world = desk.world()
    email, group, oid = next(
        (email, group, oid)
        for group in world.groups.values()
        if group.permissions and group.complete
        for email in sorted(group.members)
        for oid in sorted(group.organizations)
        if world.groups_of(email) == (group,) and not world.direct.get(email)
    )
    organization = str(world.organizations[oid])
    assert email in desk.members(group.gid)
    with desk.console() as screen:
        screen.wait(lambda seen: "fresh" in line(seen, 0) and "WRITE" in line(seen, 0))
        screen.press(":")
        screen.wait(lambda seen: line(seen, -2).startswith(":"))
        screen.type(f"access {oid}")
        screen.press("Enter")
        screen.wait(lambda seen: f"Access   {organization}"[:30] in line(seen, 1))
        screen.press("/")
        screen.wait(lambda seen: line(seen, -2).startswith("/"))
        screen.type(f"user:{email}")
        screen.press("Enter")
        screen.wait(lambda seen: re.search(rf"> u!? *{email[:16]}.*\[", seen) is not None)
        screen.press("u")
        screen.wait(lambda seen: re.search(r"> u!? .*\[G!?\]", seen) is not None)
        turn_and_come_back(screen, organization, email)
        explain(screen, email, str(group.name))
        stage_a_leave(screen, email, str(group.name))
        what_if(screen, email)
        plan_and_apply(screen, desk, group.organizations)
        assert email not in desk.members(group.gid)
        assert email not in desk.world().groups[group.gid].members
        undo(screen, desk, group.organizations)
    assert email in desk.members(group.gid)
    assert email in desk.world().groups[group.gid].members


def turn_and_come_back(screen: Tmux, organization: str, email: str) -> None:
    """The same cell from three sides."""
    screen.press("v")
    screen.wait(lambda seen: f"user {email}"[:24] in line(seen, 1) and f"> {organization[:16]}" in seen)
    screen.press("v")
    screen.wait(lambda seen: "Access   permission " in line(seen, 1) and on_the_row(seen, email))
    screen.press("q", "q")
    screen.wait(lambda seen: f"Access   {organization}"[:24] in line(seen, 1) and on_the_row(seen, email))


def explain(screen: Tmux, email: str, group: str) -> None:
    """Why it is so, at length."""
    screen.press("Enter")
    screen.wait(lambda seen: f"1 group {group}" in seen and "smallest cut:" in seen and email in seen)
    screen.press("Enter")
    screen.wait(lambda seen: "smallest cut:" not in seen)


def stage_a_leave(screen: Tmux, email: str, group: str) -> None:
    """Of a path through a group it is asked which change is meant."""
    screen.press("Space")
    screen.wait(f"l  leave group {group}")
    screen.press("l")
    screen.wait(lambda seen: "staged: 1 change" in seen and re.search(r"> u!? .*\[-!?\]", seen) is not None)
    screen.wait(lambda seen: "1 staged" in line(seen, 0))


def what_if(screen: Tmux, email: str) -> None:
    """Before and after, side by side."""
    screen.press("w")
    seen = screen.wait(lambda seen: "What if: 1 staged change" in seen and "BEFORE AFTER" in seen)
    assert "1 principal: 0 gained" in seen
    assert "No privileged permission is gained." in seen
    assert re.search(r"> \S+ +- \S+ +G +\. ", seen) is not None


def confirm(screen: Tmux, desk: Desk, touched: frozenset[str]) -> None:
    """What has to be typed for protected organizations, or one key where there is none."""
    with desk.store.reader.reading() as connection:
        protected = list(marked(connection, "protected", touched).values())
    if not protected:
        screen.press("a")
        return
    phrase = protected[0] if len(protected) == 1 else f"{len(protected)} protected organizations"
    screen.type(str(phrase))
    screen.wait(lambda seen: f"confirm  {phrase}"[:40] in seen)
    screen.press("Enter")


def plan_and_apply(screen: Tmux, desk: Desk, touched: frozenset[str]) -> None:
    """The steps and the organizations are named before anything is sent."""
    screen.press("P")
    seen = screen.wait(lambda seen: re.search(r"Plan \d+, 1 change: what was staged", seen) is not None)
    assert f"touches {len(touched)} organization" in seen
    confirm(screen, desk, touched)
    screen.wait(lambda seen: re.search(r"Plan \d+  applied: 1 of 1 change hold", seen) is not None)
    screen.press("Enter")
    screen.wait(lambda seen: "RESULT" not in seen and "staged" not in line(seen, 0))


def undo(screen: Tmux, desk: Desk, touched: frozenset[str]) -> None:
    """A plan is taken back by a plan."""
    screen.press("U")
    screen.wait("Plans about access, the last one first")
    screen.press("Enter")
    screen.wait("U undo it: a plan that takes it back")
    screen.press("U")
    screen.wait(lambda seen: re.search(r"Plan \d+, 1 change: undo of plan \d+", seen) is not None)
    confirm(screen, desk, touched)
    screen.wait(lambda seen: re.search(r"Plan \d+  applied: 1 of 1 change hold", seen) is not None)
