"""`limegrove tree` on a real store."""

import subprocess
import sys

import pytest
import yaml

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
FILE = f"""\
- id: all
  parent: null
  name: All customers
- id: emea
  parent: all
  name: EMEA
  labels: {{tier: gold}}
  marks: [protected]
- id: acme
  parent: emea
  name: Acme
  oid: {OIDS[0]}
  parameters: {{siem: "https://siem.example", retention: 30}}
- id: böhm
  parent: emea
  name: Böhm
  oid: {OIDS[1]}
"""


@pytest.fixture
def tree_file(tmp_path):
    file = tmp_path / "tree.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture
def planted(filled, limegrove, tree_file):
    assert limegrove("tree", "import", str(tree_file)).code == 0
    return tree_file


def journal(home):
    from contextlib import closing

    from store.database import Store
    from store.journal import verify
    from store.queries.activity import journal as entries

    with (
        closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store,
        store.reader.reading() as connection,
    ):
        assert verify(connection) is None
        return [(entry.action, entry.target) for entry in reversed(entries(connection))]


def test_a_file_becomes_the_tree_and_comes_back_equal(filled, limegrove, tree_file, tmp_path):
    answer = limegrove("tree", "import", str(tree_file))

    assert answer.code == 0
    assert answer.json == {"nodes": 4, "organizations": 2, "added": 4, "removed": 0, "changed": 0}
    assert answer.err == ""
    assert yaml.safe_load(limegrove("tree", "export").out) == yaml.safe_load(FILE)
    out = tmp_path / "exported.yaml"
    assert limegrove("tree", "export", str(out)).code == 0
    assert yaml.safe_load(out.read_text()) == yaml.safe_load(FILE)
    assert journal(filled) == [("tree.import", "")]


def test_importing_what_was_exported_changes_nothing(filled, limegrove, planted, tmp_path):
    out = tmp_path / "exported.yaml"
    limegrove("tree", "export", str(out))

    answer = limegrove("tree", "import", str(out))

    assert (answer.json["added"], answer.json["removed"], answer.json["changed"]) == (0, 0, 0)
    assert len(journal(filled)) == 1


def test_the_tree_gives_organizations_their_paths(planted, limegrove):
    assert {row["oid"]: row["path"] for row in limegrove("org", "list").json} == {
        OIDS[0]: "EMEA/Acme", OIDS[1]: "EMEA/Böhm", OIDS[2]: "Evil\x1b]0;owned\x07 Ltd",
    }  # fmt: skip


def test_a_file_from_standard_input_is_read_too(filled):
    ran = subprocess.run(
        [sys.executable, "-m", "console", "tree", "import", "-"],
        input=FILE.encode(),
        capture_output=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        (("parent: all\n  name: EMEA", "parent: acme\n  name: EMEA"), None, "below itself"),
        (("id: böhm", "id: acme"), 14, "twice"),
        ((OIDS[1], OIDS[0]), 14, OIDS[0]),
        ((OIDS[1], "0badc0de-0000-4000-8000-000000000000"), 14, "0badc0de-0000-4000-8000-000000000000"),
        (("parent: emea\n  name: Böhm", "parent: nowhere\n  name: Böhm"), 14, "nowhere"),
        (("marks: [protected]", "marks: [precious]"), 8, "precious"),
        (("name: EMEA", "nmae: EMEA"), 6, "nmae"),
        (("name: EMEA", "name: no"), 6, "name"),
        (("labels: {tier: gold}", "labels: {tier: gold"), None, ""),
        (("name: EMEA", "name: EMEA\n  name: EMEA"), 7, "name"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_nothing_is_changed(
    filled, limegrove, planted, wrong, line, said
):
    before = limegrove("tree", "export").out
    assert wrong[0] in FILE
    planted.write_text(FILE.replace(*wrong))

    answer = limegrove("tree", "import", str(planted))

    assert (answer.code, answer.out) == (1, "")
    *complaints, last = answer.err.splitlines()
    assert (
        last
        == f"limegrove: {planted} has {'a mistake' if len(complaints) == 1 else f'{len(complaints)} mistakes'}; nothing was changed."
    )
    assert complaints
    for complaint in complaints:
        place, number, _ = complaint.split(":", 2)
        assert place == str(planted)
        assert number.isdigit()
    assert any(said in complaint for complaint in complaints)
    if line is not None:
        assert any(complaint.startswith(f"{planted}:{line}:") for complaint in complaints)
    assert limegrove("tree", "export").out == before
    assert len(journal(filled)) == 1


def test_every_mistake_is_told_at_once(filled, limegrove, tree_file):
    tree_file.write_text(
        FILE.replace("[protected]", "[precious]").replace(OIDS[1], OIDS[0]).replace("id: acme", "id: no")
    )

    answer = limegrove("tree", "import", str(tree_file))

    assert answer.code == 1
    assert len(answer.err.splitlines()) >= 4 - 1


def test_oids_are_not_checked_before_the_first_sync_and_that_is_said(home, limegrove, tree_file):
    answer = limegrove("tree", "import", str(tree_file))

    assert answer.code == 0
    assert answer.err == "The store was never synced, so no oid could be checked; run `limegrove sync`.\n"


def test_a_file_that_is_not_there_is_one_sentence(filled, limegrove, tmp_path):
    answer = limegrove("tree", "import", str(tmp_path / "nothing.yaml"))

    assert answer.code == 1
    assert answer.err.endswith("cannot be read: No such file or directory.\n")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"", b"just a text", b"{a: 1}", b"[[[[" * 10_000, b"- *a\n"]
)
def test_a_file_of_something_else_is_one_sentence_with_its_line(filled, limegrove, tree_file, content):
    tree_file.write_bytes(content)

    answer = limegrove("tree", "import", str(tree_file))

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"{tree_file}:")
    assert "unforeseen" not in answer.err


def test_show_rolls_up_counts_and_health(planted, limegrove):
    rows = {row["id"]: row for row in limegrove("tree", "show").json}

    assert list(rows)[:4] == ["all", "emea", "acme", "böhm"]
    assert (rows["all"]["organizations"], rows["emea"]["organizations"], rows["acme"]["organizations"]) == (
        3,
        2,
        1,
    )
    assert (rows["all"]["open_alerts"], rows["emea"]["open_alerts"]) == (4, 3)
    assert rows["emea"]["health"] == "failed"
    assert rows["acme"]["labels"] == {"tier": "gold"}
    assert rows["acme"]["marks"] == ["protected"]
    assert rows["acme"]["path"] == "EMEA/Acme"
    assert rows["emea"]["parent"] == "all"


def test_show_is_indented_and_safe_in_a_table(planted, limegrove):
    answer = limegrove("tree", "show", "--output", "table")

    lines = answer.out.splitlines()
    assert lines[1].startswith("x All customers")
    assert lines[2].startswith("  x EMEA [protected]")
    assert lines[3].startswith("    ~ Acme [protected]")
    assert "\x1b" not in answer.out
    assert answer.err.startswith("1 of 3 organizations are fresh")


def test_show_of_a_scope_begins_there(planted, limegrove):
    assert [row["id"] for row in limegrove("tree", "show", "--scope", "EMEA").json] == [
        "emea",
        "acme",
        "böhm",
    ]


def test_the_first_node_added_to_an_empty_tree_stands_below_a_root(filled, limegrove):
    answer = limegrove("tree", "add", "Müller & Co")

    assert answer.code == 0
    assert (answer.json["id"], answer.json["parent"], answer.json["path"]) == (
        "muller-co",
        "root",
        "Müller & Co",
    )
    assert journal(filled) == [("tree.add", "muller-co")]


def test_a_node_is_added_below_another_with_its_organization(planted, limegrove):
    answer = limegrove("tree", "add", "Evil", "--parent", "EMEA", "--id", "evil", "--oid", "00000003")

    assert answer.json["oid"] == OIDS[2]
    assert limegrove("org", "show", OIDS[2]).json["path"] == "EMEA/Evil"


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["add", "X", "--parent", "nowhere"], 2, "--parent: the tree has no node `nowhere`"),
        (["add", "X", "--id", "acme"], 1, "acme"),
        (["add", "X", "--oid", OIDS[0]], 1, OIDS[0]),
        (["add", "X", "--oid", "nobody"], 2, "nobody"),
        (["add", ""], 2, "NAME: cannot be empty"),
        (["move", "all", "emea"], 1, "root"),
        (["move", "emea", "acme"], 1, "below itself"),
        (["move", "nowhere", "acme"], 2, "`nowhere`"),
        (["label", "acme", "tier"], 2, "`tier` is no label"),
        (["mark", "acme", "precious"], 1, "precious"),
    ],
)
def test_what_the_tree_cannot_take_is_one_sentence_and_changes_nothing(
    filled, limegrove, planted, argv, code, said
):
    before = limegrove("tree", "export").out

    answer = limegrove("tree", *argv)

    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("limegrove: ")
    assert limegrove("tree", "export").out == before
    assert len(journal(filled)) == 1


def test_a_node_moves_with_what_is_below_it(filled, limegrove, planted):
    limegrove("tree", "add", "APAC")

    answer = limegrove("tree", "move", "EMEA", "APAC")

    assert (answer.code, answer.json["parent"]) == (0, "apac")
    assert limegrove("org", "show", OIDS[0]).json["path"] == "APAC/EMEA/Acme"
    assert journal(filled)[-1] == ("tree.move", "emea")


def test_labels_are_set_and_taken_away(filled, limegrove, planted):
    assert limegrove("tree", "label", "EMEA", "tier=", "contact=a=b").json["labels"] == {"contact": "a=b"}
    assert journal(filled)[-1] == ("tree.label", "emea")


def test_a_label_that_is_so_already_is_not_journalled(filled, limegrove, planted):
    assert limegrove("tree", "label", "EMEA", "tier=gold").code == 0
    assert len(journal(filled)) == 1


def test_marks_are_set_and_taken_away(filled, limegrove, planted):
    assert limegrove("tree", "mark", "EMEA", "canary", "no-protected").json["marks"] == ["canary"]
    assert journal(filled)[-1] == ("tree.mark", "emea")


@pytest.mark.parametrize(
    "argv",
    [
        ["add", "X"],
        ["move", "acme", "all"],
        ["label", "acme", "a=b"],
        ["mark", "acme", "canary"],
        ["import", "x.yaml"],
    ],
)
def test_a_read_only_console_refuses_to_change_the_tree(filled, limegrove, planted, argv):
    before = limegrove("tree", "export").out

    answer = limegrove("--read-only", "tree", *argv)

    assert (answer.code, answer.out) == (5, "")
    assert "read-only" in answer.err
    assert limegrove("tree", "export").out == before


def test_a_read_only_console_shows_and_exports_the_tree(planted, limegrove):
    assert limegrove("--read-only", "tree", "show").code == 0
    assert limegrove("--read-only", "tree", "export").code == 0


def test_an_export_that_cannot_be_written_leaves_nothing_behind(planted, limegrove, tmp_path):
    answer = limegrove("tree", "export", str(tmp_path / "nowhere" / "tree.yaml"))

    assert answer.code == 1
    assert "There is no directory" in answer.err
    assert not (tmp_path / "nowhere").exists()
