"""What a key in the matrix of access costs on the line, whichever way it is turned."""

import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from store import ingest
from store.database import Store
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import ROOT
from tests.helpers.screens import oid_of
from tests.helpers.soak import minutes

DOWN, UP, RIGHT, LEFT = b"\x1b[B", b"\x1b[A", b"\x1b[C", b"\x1b[D"
MOST = 1_000
"""Bytes of a move that does not scroll, with what follows the cursor once it rests."""

ORGANIZATIONS, PEOPLE, NODES = 1_000, 60, 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace of a thousand organizations below twenty nodes, with sixty people in four groups."""
    (tmp_path / "default").mkdir(mode=0o700)
    now = now_ms()
    permissions = ["org.get", "sensor.list", "sensor.get", "sensor.task", "dr.list", "dr.set", "user.ctrl"]
    with closing(Store(f"sqlite:///{tmp_path / 'default' / 'store.db'}")) as store, store.writing() as c:
        ingest.put_organizations(
            c,
            [{"oid": oid_of(n), "name": f"Customer {n:04d} Dental"} for n in range(ORGANIZATIONS)],
            complete=True,
            now=now,
        )
        nodes = [TreeNode(id="root", parent=None, name="Provider")]
        nodes += [TreeNode(id=f"n{n}", parent="root", name=f"Region {n}") for n in range(NODES)]
        nodes += [
            TreeNode(id=f"c{n}", parent=f"n{n % NODES}", name=f"Customer {n:04d} Dental", oid=oid_of(n))
            for n in range(ORGANIZATIONS)
        ]
        replace_tree(c, nodes)
        ingest.put_groups(
            c,
            [
                {
                    "group_id": f"g-{n}",
                    "name": f"responders {n}",
                    "owners": ["root@provider.example"],
                    "members": [f"person-{m:02d}@provider.example" for m in range(n, PEOPLE, 4)],
                    "orgs": [{"org_id": oid_of(m)} for m in range(0, ORGANIZATIONS, n + 1)],
                    "perms": permissions[: 4 + n],
                }
                for n in range(4)
            ],
            now=now,
        )
        for n in range(0, ORGANIZATIONS, 7):
            direct = {f"person-{n % PEOPLE:02d}@provider.example": ["dr.set", "user.ctrl"]}
            ingest.put_access(c, oid_of(n), {"user_permissions": direct}, now=now)
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.mark.parametrize(
    ("columns", "rows"), [(80, 24)] if minutes() == 0 else [(80, 24), (200, 50)], ids=str
)
@pytest.mark.soak
def test_a_move_in_the_matrix_stays_small_from_every_side(home: Path, columns: int, rows: int) -> None:
    command = [sys.executable, "-m", "console", "--offline"]
    environment = {"LIMEGROVE_HOME": str(home), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with Terminal(command, columns=columns, rows=rows, environment=environment) as terminal:
        terminal.until("of 1,000 fresh", 30)
        terminal.settle(1.0)
        terminal.press(b"4", quiet=1.5)
        terminal.press(b"n", quiet=1.5)
        terminal.until("Customer 0000 Dental", 30)
        seen = {}
        for side in ("organization", "principal", "permission"):
            seen[side] = [
                terminal.press(key, quiet=0.5)[0] for key in (DOWN, DOWN, UP, RIGHT, RIGHT, DOWN, LEFT, LEFT)
            ]
            if side != "permission":
                at = len(terminal.seen)
                terminal.press(b"v", quiet=1.5)
                assert len(terminal.seen) - at > MOST, "it was not turned"
    assert {side: max(counts) for side, counts in seen.items() if max(counts) > MOST} == {}, seen
    assert min(min(counts) for counts in seen.values()) > 50, f"the cursor did not move: {seen}"
