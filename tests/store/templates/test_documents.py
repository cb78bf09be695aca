"""Infrastructure documents: includes resolved in one order, every record with its place, every oddity said."""

import json
import os
import random
import subprocess

import pytest

from store.templates.documents import read_template
from store.yaml import LARGEST
from tests.helpers.official import OFFICIAL_PYTHON as PYTHON
from tests.helpers.official import needs_official

RULE = """\
    {name}:
      data:
        detect: {{op: is, event: NEW_PROCESS, path: event/FILE_PATH, value: {value}}}
        respond: [{{action: report, name: {name}}}]
      usr_mtd: {{enabled: true}}
"""


def rules(*names: str, value: str = "x") -> str:
    return "version: 3\nhives:\n  dr-general:\n" + "".join(
        RULE.format(name=name, value=value) for name in names
    )


def written(directory, files: dict[str, str]):
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def said(template, severity: str = "error") -> list[str]:
    return [str(each) for each in template.findings if each.severity == severity]


def test_a_customer_s_document_has_what_it_includes_and_each_record_its_file_and_line(tmp_path):
    written(
        tmp_path,
        {
            "global/all.yaml": "version: 3\ninclude: [rules.yaml, outputs.yaml]\n",
            "global/rules.yaml": rules("a", "b"),
            "global/outputs.yaml": "version: 3\noutputs:\n  siem: {module: s3, for: event, bucket: x}\n",
            "customers/one/main.yaml": "version: 3\ninclude:\n  - ../../global/all.yaml\n",
        },
    )
    template = read_template(tmp_path, "customers/one/main.yaml")
    assert {key: str(record.place) for key, record in template.records.items()} == {
        ("hive/dr-general", "a"): "global/rules.yaml:4",
        ("hive/dr-general", "b"): "global/rules.yaml:9",
        ("output", "siem"): "global/outputs.yaml:3",
    }
    assert template.files[0] == "customers/one/main.yaml"
    assert not template.findings


def test_every_section_is_read_into_records(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\n"
            "extensions: [ext-cases, ext-cases]\n"
            "resources: {api: [vt, insight]}\n"
            "org-value: {otx: k}\n"
            "installation_keys: {linux: {desc: linux, tags: [linux]}}\n"
            "integrity: {keys: {patterns: [/root/x]}}\n"
            "artifact: {logs: {patterns: [/var/log/x]}}\n"
            "exfil: {perf: {}, list: {l: {events: [NEW_PROCESS]}}, watch: {w: {event: X}}}\n"
            "yara: {sources: {s: {source: r}}, rules: {r: {sources: [s]}}}\n"
            "hives: {fp: {f: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true}}}}\n",
        },
    )
    assert list(read_template(tmp_path, "main.yaml").records) == [
        ("extension", "ext-cases"), ("resource", "api"), ("org_value", "otx"), ("installation_key", "linux"),
        ("integrity", "keys"), ("artifact", "logs"), ("exfil", "list/l"), ("exfil", "watch/w"),
        ("yara", "sources/s"), ("yara", "rules/r"), ("hive/fp", "f"),
    ]  # fmt: skip


def test_of_two_includes_the_later_one_wins_and_the_official_client_is_said_to_choose_by_chance(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\ninclude: [one.yaml, two.yaml]\n",
            "one.yaml": rules("same", value="one"),
            "two.yaml": rules("same", value="two"),
        },
    )
    template = read_template(tmp_path, "main.yaml")
    assert template.records["hive/dr-general", "same"].body["detect"]["value"] == "two"
    assert len(said(template, "warning")) == 1
    assert "now one and now the other" in said(template, "warning")[0]


def test_an_included_record_wins_over_that_of_the_including_file_in_all_clients(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\ninclude: base.yaml\n"
            + rules("same", value="mine").removeprefix("version: 3\n"),
            "base.yaml": rules("same", value="theirs"),
        },
    )
    template = read_template(tmp_path, "main.yaml")
    assert template.records["hive/dr-general", "same"].body["detect"]["value"] == "theirs"
    assert "the included one wins, in all clients" in said(template, "warning")[0]


def test_the_same_record_twice_is_no_clash(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\ninclude: [one.yaml, two.yaml]\n",
            "one.yaml": rules("same"),
            "two.yaml": rules("same"),
        },
    )
    assert not read_template(tmp_path, "main.yaml").findings


def test_lists_of_several_files_are_united_and_the_difference_is_said(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\ninclude: [one.yaml, two.yaml]\n",
            "one.yaml": "version: 3\nextensions: [a]\nresources: {api: [vt]}\n",
            "two.yaml": "version: 3\nextensions: [a, b]\nresources: {api: [insight]}\n",
        },
    )
    template = read_template(tmp_path, "main.yaml")
    assert template.records["resource", "api"].body == ["vt", "insight"]
    assert ("extension", "b") in template.records
    assert len(said(template, "warning")) == 1
    assert "the official client one of them stays" in said(template, "warning")[0]


def test_a_pattern_finds_files_by_name_and_the_go_client_is_said_not_to_know_it(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\ninclude: parts/*.yaml\n",
            "parts/b.yaml": rules("same", value="b"),
            "parts/a.yaml": rules("same", value="a"),
            "parts/deeper/c.yaml": rules("same", value="c"),
        },
    )
    template = read_template(tmp_path, "main.yaml")
    assert template.files == ("main.yaml", "parts/a.yaml", "parts/b.yaml")
    assert template.records["hive/dr-general", "same"].body["detect"]["value"] == "b"
    assert "The Go client knows no patterns" in said(template, "info")[0]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "main.yaml:1: There is no file 'main.yaml'. Both official clients refuse it as well."),
        ({"main.yaml": ""}, "main.yaml:1: This is no infrastructure document: it is empty. It needs `version: 3`."),
        ({"main.yaml": "- a\n"}, "main.yaml:1: This is no infrastructure document: it is a list. It needs `version: 3`."),
        (
            {"main.yaml": "detect: {op: exists, path: a}\nrespond: []\n"},
            "main.yaml:1: This is no infrastructure document: `version` is missing. It is one rule: put it below "
            "`version: 3` and `hives: dr-general: NAME: data:`.",
        ),
        (
            {"main.yaml": "op: exists\npath: a\n"},
            "main.yaml:1: This is no infrastructure document: `version` is missing. It is a part of a rule: "
            "without `detect` and `respond` nobody can tell what it is to do.",
        ),
        ({"main.yaml": "a: 1\nversion: 4\n"}, "main.yaml:2: `version` is 4; up to 3 is understood. Write `version: 3`."),
        ({"main.yaml": "version: true\n"}, "main.yaml:1: `version` is True; up to 3 is understood. Write `version: 3`."),
        ({"main.yaml": "version: 3\na: {b: 1, b: 2}\n"}, "main.yaml:2: The key 'b' is there twice; it is on line 2 too."),
        ({"main.yaml": "version: 3\na: !!python/object:os.x {}\n"}, "main.yaml:2: The tag"),
        (
            {"main.yaml": "version: 3\ninclude: main.yaml\n"},
            "main.yaml:2: The include goes in a circle: main.yaml > main.yaml. Take one of them out.",
        ),
        (
            {"main.yaml": "version: 3\ninclude: [a.yaml]\n", "a.yaml": "version: 3\ninclude: main.yaml\n"},
            "a.yaml:2: The include goes in a circle: main.yaml > a.yaml > main.yaml. Take one of them out.",
        ),
        (
            {"main.yaml": "version: 3\ninclude: [../../etc/passwd]\n"},
            "main.yaml:2: '../../etc/passwd' leads out of the template's directory. Nothing there is read.",
        ),
        (
            {"main.yaml": "version: 3\ninclude: [/etc/passwd]\n"},
            "main.yaml:2: '/etc/passwd' leads out of the template's directory. Nothing there is read.",
        ),
        ({"main.yaml": "version: 3\ninclude: {a: 1}\n"}, "main.yaml:2: `include` has to be a path or a list of paths."),
        ({"main.yaml": "version: 3\nhives: {dr_general: {}}\n"}, "main.yaml:2: There is no hive 'dr_general'. Perhaps `dr-general`."),
        (
            {"main.yaml": "version: 3\nhives:\n  fp:\n    x: {detect: {}}\n"},
            "main.yaml:4: fp/x has no `data`. It needs `data:` and beside it `usr_mtd: {enabled: true}`.",
        ),
        (
            {"main.yaml": "version: 3\noutputs:\n  on: {module: s3}\n"},
            "main.yaml:2: YAML reads the name True in `outputs` as something else than text. Write it in quotes.",
        ),
        ({"main.yaml": "version: 3\nextensions: {a: 1}\n"}, "main.yaml:2: `extensions` has to be a list of names."),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused_with_its_file_and_line(tmp_path, files, sentence):
    template = read_template(written(tmp_path, files), "main.yaml")
    assert template.broken
    assert any(each.startswith(sentence) for each in said(template)), said(template)


def test_a_link_that_leads_out_of_the_directory_is_not_followed(tmp_path):
    inside = tmp_path / "inside"
    written(
        tmp_path, {"secret.yaml": rules("secret"), "inside/main.yaml": "version: 3\ninclude: link.yaml\n"}
    )
    (inside / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    template = read_template(inside, "main.yaml")
    assert not template.records
    assert "leads out of the template's directory" in said(template)[0]


def test_a_file_of_more_than_five_megabytes_is_refused(tmp_path):
    written(tmp_path, {"main.yaml": "version: 3\n" + "#" * LARGEST})
    assert said(read_template(tmp_path, "main.yaml")) == ["main.yaml:1: The file has more than 5 MB."]


def test_a_section_that_nobody_knows_is_said_to_be_ignored(tmp_path):
    written(tmp_path, {"main.yaml": "version: 3\nRules: {a: 1}\nfp: {}\n"})
    assert said(read_template(tmp_path, "main.yaml"), "warning") == [
        "main.yaml:2: `Rules` is no section: whatever stands in it is silently ignored. Write `rules`.",
        "main.yaml:3: `fp` is no section: whatever stands in it is silently ignored. Write `fps`.",
    ]


def test_old_rules_become_records_and_it_is_said(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\nrules:\n"
            "  old: {namespace: managed, detect: {op: exists, path: a}, respond: [], is_enabled: false}\n"
            "fps:\n  quiet: {data: {op: is, path: cat, value: x}}\n"
        },
    )
    template = read_template(tmp_path, "main.yaml")
    old = template.records["hive/dr-managed", "old"]
    assert old.metadata == {"enabled": False}
    assert set(old.body) == {"detect", "respond"}
    assert ("hive/fp", "quiet") in template.records
    assert len(said(template, "warning")) == 2


OFFICIAL = """
import json, sys
from limacharlie.sdk.configs import Configs
print(json.dumps(Configs(None)._load_effective_config(sys.argv[1])[0]))
"""


def official(path) -> dict:
    """What the official client makes of a document."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(path.parent), "PYTHONHASHSEED": "random"}
    answer = subprocess.run(
        [PYTHON, "-c", OFFICIAL, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(answer.stdout)


def flat(document: dict) -> dict[tuple[str, str], object]:
    """Its records, by the names that they have here."""
    found: dict[tuple[str, str], object] = {}
    for hive, records in (document.get("hives") or {}).items():
        found |= {(f"hive/{hive}", name): record["data"] for name, record in records.items()}
    found |= {("output", name): body for name, body in (document.get("outputs") or {}).items()}
    found |= {("extension", name): {} for name in document.get("extensions") or ()}
    found |= {("resource", name): body for name, body in (document.get("resources") or {}).items()}
    for kind, records in (document.get("exfil") or {}).items():
        found |= {("exfil", f"{kind}/{name}"): body for name, body in records.items()}
    return found


@needs_official
@pytest.mark.parametrize("seed", range(6))
def test_where_no_difference_is_said_the_official_client_comes_to_the_same(tmp_path, seed):
    chance = random.Random(seed)
    names = [f"part{number}.yaml" for number in range(5)]
    taken = iter(range(1000))
    for at, name in enumerate(names):
        own = [f"r{next(taken)}" for _ in range(chance.randrange(3))]
        text = rules(*own) if own else "version: 3\n"
        text += f"outputs: {{o{at}: {{module: s3, for: event, bucket: b{at}}}}}\n"
        text += f"extensions: [ext-{at}, ext-common]\nexfil: {{list: {{l{at}: {{events: [A]}}}}}}\n"
        below = names[at + 1 :]
        if below:
            text += "include: " + json.dumps(chance.sample(below, chance.randrange(len(below) + 1))) + "\n"
        (tmp_path / name).write_text(text)
    template = read_template(tmp_path, names[0])
    assert not said(template), said(template)
    assert not said(template, "warning"), said(template, "warning")
    theirs = flat(official(tmp_path / names[0]))
    assert {key: record.body for key, record in template.records.items()} == theirs


@needs_official
def test_where_chance_is_said_the_official_client_really_comes_to_both(tmp_path):
    written(
        tmp_path,
        {
            "main.yaml": "version: 3\ninclude: [one.yaml, two.yaml]\n",
            "one.yaml": rules("same", value="one"),
            "two.yaml": rules("same", value="two"),
        },
    )
    seen: set[str] = set()
    for _ in range(40):
        found = official(tmp_path / "main.yaml")
        seen.add(found["hives"]["dr-general"]["same"]["data"]["detect"]["value"])
        if len(seen) == 2:
            break
    assert seen == {"one", "two"}
