"""`limegrove access findings`, as a shell sees it."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.commands.access_findings import KINDS
from store import accessplans, ingest
from store.database import Store
from store.findings import KINDS as KNOWN
from tests.helpers.sandboxes import environment, limegrove
from tests.helpers.screens import NOW, fill
from tests.screens.test_findings import LEAVE, grant


class Shell:
    """A workspace in which access has mistakes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.url = f"sqlite:///{home / 'store.db'}"
        store = Store(self.url)
        fill(store)
        grant(store)
        store.close()

    def run(self, *arguments: str) -> Any:
        """One command."""
        return limegrove(*arguments, env=environment(self._home, LIMEGROVE_STORE=self.url))

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What it prints."""
        done = self.run(*arguments)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def staged(self) -> list[Any]:
        """By whoever runs the tests."""
        store = Store(self.url)
        try:
            with store.reader.reading() as c:
                table = accessplans._STAGED
                return [tuple(row) for row in c.execute(table.select().with_only_columns(table.c.kind))]
        finally:
            store.close()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_help_names_every_kind() -> None:
    assert tuple(KNOWN) == KINDS


def test_findings_are_listed_the_worst_first_with_all_that_a_script_needs(shell: Shell) -> None:
    said = shell.json("access", "findings")
    assert [each["kind"] for each in said["findings"]][:3] == ["leak", "privileged_group", "key_anywhere"]
    leak = said["findings"][0]
    assert leak["severity"] == "critical"
    assert leak["subject"] == "kim@acme.example"
    assert len(leak["organizations"]) == 4
    assert leak["people"] == ["kim@acme.example"]
    assert leak["remedy"] == [
        {
            "change": LEAVE.kind,
            "gid": "g-1",
            "principal": "kim@acme.example",
            "words": "take kim@acme.example out of group active-responders",
        }
    ]
    assert said["staff"] == {"domains": ["provider.example"], "addresses": [], "source": "derived"}
    assert any("access.yaml" in each for each in said["unknown"])


def test_a_table_says_what_was_not_looked_for(shell: Shell) -> None:
    done = shell.run("access", "findings", "--output", "table", "--kind", "leak")
    assert done.returncode == 0
    assert "kim@acme.example" in done.stdout
    assert "1 finding: 1 critical" in done.stderr
    assert "Staff is taken to be whoever has an address of provider.example" in done.stderr


def test_only_some_kinds_organizations_and_scopes(shell: Shell) -> None:
    def kinds(*arguments: str) -> list[tuple[str, int]]:
        found = shell.json("access", "findings", *arguments)["findings"]
        return [(each["kind"], len(each["organizations"])) for each in found]

    assert kinds("--kind", "leak", "--kind", "privileged_group") == [("leak", 4), ("privileged_group", 4)]
    assert kinds("--kind", "leak", "--org", "Cedar Clinic") == [("leak", 1)]
    assert kinds("--kind", "leak", "--scope", "gold") == [("leak", 2)]
    assert kinds("--kind", "leak", "--org", "Église Saint-Roch") == []


def test_one_is_shown_in_full_and_staged(shell: Shell) -> None:
    found = shell.json("access", "findings", "--kind", "leak")["findings"][0]["id"]
    done = shell.run("access", "findings", "--show", found, "--output", "table")
    assert "take kim@acme.example out of group active-responders" in done.stdout
    assert shell.json("access", "findings", "--stage", found)["staged"] == 1
    assert shell.staged() == [("remove_member",)]
    assert shell.json("access", "findings", "--stage", found) == {
        "staged": 0, "in_all": 1, "findings": [found]
    }  # fmt: skip


def test_what_if_and_plan_take_a_finding(shell: Shell) -> None:
    found = shell.json("access", "findings", "--kind", "leak")["findings"][0]["id"]
    assert shell.run("access", "what-if", "--finding", found).returncode == 4
    assert shell.run("access", "plan", "--finding", found, "--check").returncode == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--kind", "nonsense"), 2, "There is no kind `nonsense`"),
        (("--show", "leak-0000000000"), 2, "There is no finding `leak-0000000000`"),
        (("--stage", "nonsense"), 2, "There is no finding `nonsense`"),
        (("--org", "Nobody"), 2, "There is no organization `Nobody`"),
    ],
)
def test_what_means_nothing_is_refused_in_one_sentence(
    shell: Shell, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = shell.run("access", "findings", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert shell.staged() == []


def test_a_read_only_session_stages_nothing(shell: Shell) -> None:
    found = shell.json("access", "findings", "--kind", "leak")["findings"][0]["id"]
    done = shell.run("--read-only", "access", "findings", "--stage", found)
    assert done.returncode == 5
    assert shell.staged() == []


def test_what_no_machine_can_choose_is_not_staged(shell: Shell) -> None:
    store = Store(shell.url)
    with store.writing() as c:
        oid = "00000004-1a2b-4c3d-8e9f-001122334455"
        ingest.put_access(c, oid, {"user_permissions": {"root@provider.example": ["org.get"]}}, now=NOW)
    store.close()
    found = shell.json("access", "findings", "--kind", "single_owner")["findings"][0]
    assert found["remedy"] == []
    assert found["lines"][0].startswith("grant EMAIL user.ctrl")
    done = shell.run("access", "findings", "--stage", found["id"])
    assert done.returncode == 1
    assert "no remedy that a machine can choose" in done.stderr
    assert shell.staged() == []


def test_what_the_tree_says_wrongly_is_told_at_its_import_and_by_doctor(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "tree.yaml"
    file.write_text(
        "- {id: root, parent: null, name: Provider, parameters: {staff_domains: 7, findings_unused: 30d}}\n"
    )
    done = shell.run("tree", "import", str(file))
    assert done.returncode == 0, done.stderr
    sentence = "staff_domains of the node root is passed over: it takes a domain or a list of them"
    assert sentence in done.stderr
    assert "findings_unused" not in done.stderr
    doctor = json.loads(shell.run("--offline", "doctor").stdout)
    assert any(sentence in each["sentence"] for each in doctor["items"]), doctor


def test_an_empty_store_is_not_said_to_be_well(tmp_path: Path) -> None:
    done = limegrove(
        "access", "findings", env=environment(tmp_path, LIMEGROVE_STORE=f"sqlite:///{tmp_path}/s.db")
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["findings"] == []
    assert "was never read" in done.stderr
