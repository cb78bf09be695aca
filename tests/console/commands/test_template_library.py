"""`limegrove template import`, `list`, `assign`, `unassign`, `render`, `export`, `terraform`."""

import json
import os
import subprocess

import pytest
import yaml

from tests.console.commands.conftest import OIDS
from tests.helpers.official import OFFICIAL_PYTHON as PYTHON
from tests.helpers.official import needs_official

RULE = "detect: {op: exists, event: NEW_PROCESS, path: event/A}\nrespond: [{action: report, name: a}]\n"
FP = "version: 3\nhives:\n  fp:\n    a: {data: {op: is, path: cat, value: VALUE}, usr_mtd: {enabled: true}}\n"
OUTPUT = """\
version: 3
limegrove:
  parameters:
    siem: {type: string, required: true}
outputs:
  siem: {module: syslog, for: detect, dest_host: '${siem}:514'}
"""
TREE = f"""\
- {{id: root, parent: null, name: All}}
- {{id: gold, parent: root, name: Gold, parameters: {{siem: gold.example}}}}
- {{id: acme, parent: gold, name: Acme, oid: {OIDS[0]}}}
- {{id: boehm, parent: root, name: Boehm, oid: {OIDS[1]}}}
"""

BOMB = "version: 3\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 6)
)


@pytest.fixture
def library(limegrove, filled, tmp_path):
    """Two customers in a tree, one of them gold; a base for all and an output for both."""
    (tmp_path / "tree.yaml").write_text(TREE)
    assert limegrove("tree", "import", str(tmp_path / "tree.yaml")).code == 0
    directory = tmp_path / "templates"
    directory.mkdir()
    (directory / "base.yaml").write_text(FP.replace("VALUE", "x"))
    (directory / "siem.yaml").write_text(OUTPUT)
    answer = limegrove("template", "import", str(directory), "--root", str(directory), "--output", "json")
    assert answer.code == 0, answer.err
    assert [each["name"] for each in answer.json["imported"]] == ["base", "siem"]
    return directory


def ok(answer):
    assert answer.code == 0, answer.err
    return answer.json if answer.out else None


def test_an_imported_template_that_did_not_change_keeps_its_version_and_a_changed_one_gets_another(
    limegrove, library
):
    def versions():
        found = ok(limegrove("template", "import", str(library), "--root", str(library), "--output", "json"))
        return {each["name"]: (each["version"], each["new"]) for each in found["imported"]}

    assert versions() == {"base": (1, False), "siem": (1, False)}
    (library / "base.yaml").write_text(FP.replace("VALUE", "y"))
    assert versions() == {"base": (2, True), "siem": (1, False)}
    assert [row["version"] for row in ok(limegrove("template", "list", "--output", "json"))] == [2, 1]


def test_what_an_organization_is_to_have_comes_from_its_nodes_and_says_so(limegrove, library):
    ok(limegrove("template", "assign", "base", "root", "--output", "json"))
    ok(limegrove("template", "assign", "siem", "Gold", "--output", "json"))
    found = ok(limegrove("template", "render", "--org", OIDS[0], "--output", "json"))
    assert [(row["record"], row["origin"], row["path"], row["place"]) for row in found["records"]] == [
        ("hives/fp/a", "base", "", "base.yaml:4"),
        ("outputs/siem", "siem", "Gold", "siem.yaml:6"),
    ]
    assert found["document"]["outputs"]["siem"]["dest_host"] == "gold.example:514"
    other = ok(limegrove("template", "render", "--org", OIDS[1], "--output", "json"))
    assert [row["record"] for row in other["records"]] == ["hives/fp/a"]


def test_a_missing_parameter_blocks_only_the_organization_that_lacks_it_and_is_named(
    limegrove, library, tmp_path
):
    ok(limegrove("template", "assign", "siem", "root", "--output", "json"))
    answer = limegrove("template", "render", "--org", OIDS[1], "--output", "json")
    assert answer.code == 1
    assert answer.json["blocked"] == ["The parameter siem of siem has no value in the tree (siem.yaml:4)."]
    answer = limegrove("template", "export", str(tmp_path / "out"), "--output", "json")
    assert answer.code == 3
    assert answer.json["written"] == [f"orgs/{OIDS[0]}/index.yaml"]
    assert [each["oid"] for each in answer.json["blocked"]] == [OIDS[1]]


OFFICIAL = """
import json, sys
from limacharlie.sdk.configs import Configs
print(json.dumps(Configs(None)._load_effective_config(sys.argv[1])[0]))
"""


@needs_official
def test_an_exported_layout_is_read_by_the_official_client_as_what_was_rendered_and_imports_again(
    limegrove, library, tmp_path
):
    ok(limegrove("template", "assign", "base", "root", "--output", "json"))
    ok(limegrove("template", "assign", "siem", "gold", "--output", "json"))
    out = tmp_path / "out"
    ok(limegrove("template", "export", str(out), "--output", "json"))
    rendered = ok(limegrove("template", "render", "--org", OIDS[0], "--output", "json"))["document"]
    path = out / "orgs" / OIDS[0] / "index.yaml"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    theirs = subprocess.run(
        [PYTHON, "-c", OFFICIAL, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(theirs.stdout) == rendered
    assert path.stat().st_mode & 0o777 == 0o600
    for name, node in (("base", "root"), ("siem", "gold")):
        ok(limegrove("template", "unassign", name, node, "--output", "json"))
    again = ok(limegrove("template", "import", str(out), "--root", str(out), "--assign", "--output", "json"))
    assert {each["node"] for each in again["assigned"]} == {"acme", "boehm"}
    assert ok(limegrove("template", "render", "--org", OIDS[0], "--output", "json"))["document"] == rendered


def test_terraform_holds_the_same_in_locals_and_says_that_no_provider_is_bound(limegrove, library, tmp_path):
    (library / "script.yaml").write_text(
        "version: 3\nhives: {sop: {s: {data: {text: 'echo ${HOME} %{x}'}, usr_mtd: {enabled: true}}}}\n"
    )
    ok(limegrove("template", "import", str(library), "--root", str(library), "--output", "json"))
    ok(limegrove("template", "assign", "script", "acme", "--output", "json"))
    ok(limegrove("template", "terraform", str(tmp_path / "tf"), "--output", "json"))
    held = json.loads((tmp_path / "tf" / f"{OIDS[0]}.tf.json").read_text())
    assert "no Terraform provider" in held["//"]
    (document,) = held["locals"].values()
    assert document["hives"]["sop"]["s"]["data"]["text"] == "echo $${HOME} %%{x}"


def test_a_directory_with_something_in_it_is_not_written_into(limegrove, library, tmp_path):
    ok(limegrove("template", "assign", "base", "root", "--output", "json"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    answer = limegrove("template", "export", str(tmp_path / "out"))
    assert answer.code == 2
    assert "is not empty; nothing was written" in answer.err
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("op: exists\npath: a\n", "This is only the condition of a rule: it belongs below `detect:`"),
        ("op: or\nrules: [{op: exists, path: a}]\n", "This is only the condition of a rule"),
        ("detect: {op: exists}\n", "This is a part of a rule: without `respond:`"),
        ("op: is\npath: a\n\n- action: report\n", "Here a list begins beside a mapping"),
        ("op: is\n\tpath: a\n", "Nothing of it was read."),
        (RULE + RULE, "Here a second rule begins"),
        ("version: 3\na: {detect: {}}\nb: {detect: {}}\n", "`hives: dr-general:`. The document has 1 more error."),
        ("version: 3\na: {b: 1, b: 2}\n", "The key 'b' is there twice"),
        ("version: 3\ninclude: [gone.yaml]\n", "There is no file 'gone.yaml'."),
        ("version: 3\nRules: {a: {detect: {}, respond: []}}\n", "`Rules` holds rules where no client reads them."),
        (BOMB, "Aliases multiply the file"),
        ("a: !x b\n", "The tag '!x' is not allowed."),
        ("hives:\n  fp: {a: {data: {op: is}}}\n", "`version` is missing, and without it every client refuses"),
        ("rules:\n  a: {detect: {}, respond: []}\n", "`version` is missing, and without it every client refuses"),
        ("include: [hives/fp.yaml]\n", "`version` is missing, and without it every client refuses"),
        ("dr-general:\n  a: {data: {detect: {}}}\n", "Hives stand below `hives:`"),
        ("a: {detect: {}, respond: []}\n", "These are rules by name"),
        ("- {name: a, detect: {}, respond: []}\n", "This is a list of rules"),
        ("rules: [{name: a, detect: {}, respond: []}]\n", "This is a list of rules"),
        ("- {action: report, name: a}\n", "This is only the response of a rule"),
        ("respond: [{action: task, command: x}]\n", "This is only the response of a rule"),
        ("data: {op: is, path: cat, value: x}\nusr_mtd: {enabled: true}\n", "does not say of which"),
        ("data: {detect: {op: exists}}\n", "This is a part of a rule: without `respond:`"),
        ("detection: {op: exists}\nresponse: []\n", "nobody reads 'detection'"),
        ("Detect: {op: exists}\nRespond: []\n", "nobody reads 'Detect'"),
        (RULE + "namespace: mine\n", "There is no namespace 'mine'"),
        (RULE + "---\n" + RULE, "Behind `---` another document begins"),
        ("version: 3\nhives: {lookup: {a: {usr_mtd: {enabled: true}}}}\n", "lookup/a has only `usr_mtd`"),
        ("version: 3\nhives: {dr-general: {a: {detect: {}}}}\n", "Put `detect` and `respond` below `data:`."),
    ],
    ids=range(29),
)  # fmt: skip
def test_what_is_refused_is_named_and_leaves_the_others(limegrove, library, text, reason):
    (library / "bad.yaml").write_text(text)
    answer = limegrove("template", "import", str(library), "--root", str(library), "--output", "json")
    assert answer.code == 3
    assert [(each["file"], reason in each["reason"]) for each in answer.json["refused"]] == [
        ("bad.yaml", True)
    ]
    assert [each["name"] for each in answer.json["imported"]] == ["base", "siem"]


def test_a_whole_rule_on_its_own_becomes_a_template(limegrove, library):
    (library / "lone.yml").write_text(RULE)
    path = str(library / "lone.yml")
    found = ok(limegrove("template", "import", path, "--root", str(library), "--output", "json"))
    assert found["imported"][0]["findings"][0]["text"] == (
        "This is one rule; it is taken as dr-general/lone, enabled."
    )
    ok(limegrove("template", "assign", "lone", "acme", "--output", "json"))
    rendered = ok(limegrove("template", "render", "--org", OIDS[0], "--output", "json"))["document"]
    assert rendered["hives"]["dr-general"]["lone"]["data"]["detect"] == yaml.safe_load(RULE)["detect"]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "version": "1.0.0"}',
        "version: '3.8'\nservices: {a: {image: x}}\n",
        "version: 2\nupdates: []\n",
        "rules: {semi: error}\n",
        "include: [src]\ncompilerOptions: {}\n",
        "resources: [a.yaml]\nkind: Kustomization\n",
        "title: a\ndetection: {selection: {Image: x}, condition: selection}\n",
        "kind: ConfigMap\ndata: {op: x}\n",
        "- {action: opened, repository: x}\n",
        '{"cat": "x", "routing": {}, "detect": {"event": {}, "routing": {}}}',
        '[{"cat": "x", "detect": {"event": {}}}]',
        '{"one": {"detect_id": "x", "detect": {"event": {}}}}',
        "[]\n",
        "",
    ],
    ids=range(14),
)
def test_what_is_another_programs_is_passed_by(limegrove, library, text):
    (library / "other.yaml").write_text(text)
    found = ok(limegrove("template", "import", str(library), "--root", str(library), "--output", "json"))
    assert (found["refused"], found["skipped"]) == ([], 1)


@pytest.mark.parametrize(
    ("text", "hive", "metadata", "said"),
    [
        (RULE + "is_enabled: false\n", "dr-general", {"enabled": False}, ["rule, disabled."]),
        (RULE + "namespace: managed\n", "dr-managed", {"enabled": True}, ["dr-managed/rule, enabled."]),
        (
            RULE + "tags: [pci]\ncomment: why\n",
            "dr-general",
            {"enabled": True, "tags": ["pci"], "comment": "why"},
            ["rule, enabled."],
        ),
        (
            RULE + "version: 1.0.2\nauthor: me\n",
            "dr-general",
            {"enabled": True},
            ["rule, enabled.", "A record of a rule has no `author`: left out."],
        ),
        (
            "data:\n  " + RULE.replace("\nr", "\n  r") + "usr_mtd: {enabled: false, tags: [a]}\n",
            "dr-general",
            {"enabled": False, "tags": ["a"]},
            ["rule, disabled."],
        ),
        ("data:\n  " + RULE.replace("\nr", "\n  r"), "dr-general", {"enabled": True}, ["rule, enabled."]),
        (
            "data:\n  " + RULE.replace("\nr", "\n  r") + "usr_mtd:\n",
            "dr-general",
            {"enabled": True},
            ["rule, enabled."],
        ),
        (RULE + "usr_mtd:\n", "dr-general", {"enabled": True}, ["rule, enabled."]),
        (
            RULE.replace("exists", "exist"),
            "dr-general",
            {"enabled": True},
            ["rule, enabled.", "unknown operator 'exist'; did you mean 'exists'?"],
        ),
    ],
    ids=range(9),
)
def test_a_rule_on_its_own_keeps_its_namespace_its_state_its_tags_and_its_comment(
    limegrove, library, text, hive, metadata, said
):
    (library / "rule.yml").write_text(text)
    path = str(library / "rule.yml")
    (taken,) = ok(limegrove("template", "import", path, "--root", str(library), "--output", "json"))[
        "imported"
    ]
    told = [each["text"] for each in taken["findings"]]
    assert [one in text for one, text in zip(said, told, strict=True)] == [True] * len(said), told
    ok(limegrove("template", "assign", "rule", "acme", "--output", "json"))
    document = ok(limegrove("template", "render", "--org", OIDS[0], "--output", "json"))["document"]
    assert document["hives"][hive]["rule"]["usr_mtd"] == metadata
    assert [*document["hives"][hive]["rule"]["data"]] == ["detect", "respond"]


def test_read_only_refuses_and_changes_nothing(limegrove, library):
    for words in (("import", str(library)), ("assign", "base", "root"), ("unassign", "base", "root")):
        assert limegrove("template", *words, "--read-only").code == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("assign", "nothing", "root"), "There is no template `nothing`"),
        (("assign", "base", "nowhere"), "`nowhere` is no node of the tree; nothing was changed."),
        (("unassign", "base", "root"), "`base` is no layer of"),
        (("import", "/nowhere/at/all"), "There is no file or directory"),
    ],
)
def test_a_wrong_word_is_said(limegrove, library, words, said):
    answer = limegrove("template", *words)
    assert answer.code == 2
    assert said in answer.err


def test_a_file_that_vanishes_while_they_are_read_is_refused_and_the_others_are_taken(limegrove, tmp_path):
    (tmp_path / "one.yaml").write_text("version: 3\nresources: {}\n")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")

    answer = limegrove("template", "import", str(tmp_path))

    assert answer.code == 3, answer.err
    assert [each["name"] for each in answer.json["imported"]] == ["one"]
    assert answer.json["refused"] == [
        {
            "file": "gone.yaml",
            "line": 1,
            "reason": "The file cannot be read: No such file or directory. Nothing of it was read.",
        }
    ]
