"""`limegrove report coverage`: which techniques rules are tagged with, and what is missing."""

import json
from contextlib import closing

import pytest

from store import customers, ingest
from store.configuration import Record
from store.database import Store
from store.months import day_of
from store.times import now_ms
from tests.console.commands.conftest import NAMES, OIDS

RULE = {"detect": {"op": "exists", "event": "NEW_PROCESS", "path": "event/A"}, "respond": []}
TEMPLATE = """\
version: 3
hives:
  dr-general:
    both:
      data:
        detect: {op: exists, event: NEW_PROCESS, path: event/A}
        respond: [{action: report, name: a, metadata: {tags: [attack.t1490, attack.impact]}}]
      usr_mtd: {enabled: true, tags: [attack.t1059.001, provider]}
    asleep:
      data:
        detect: {op: exists, event: NEW_PROCESS, path: event/A}
        respond: []
      usr_mtd: {enabled: false, tags: [attack.t9999]}
"""
GOLD = TEMPLATE.replace("both:", "gold:").replace("t1059.001", "t1003").replace("attack.t1490, ", "")
TREE = f"""\
- {{id: root, parent: null, name: All}}
- {{id: gold, parent: root, name: Gold}}
- {{id: acme, parent: gold, name: Acme, oid: {OIDS[0]}}}
- {{id: boehm, parent: root, name: Boehm, oid: {OIDS[1]}}}
"""


@pytest.fixture
def covered(limegrove, filled, home, tmp_path):
    """Acme has one rule of two, Boehm none that is enabled, the third was never read; Gold wants more."""
    (tmp_path / "tree.yaml").write_text(TREE)
    assert limegrove("tree", "import", str(tmp_path / "tree.yaml")).code == 0
    for name, text, node in (("base", TEMPLATE, "root"), ("more", GOLD, "gold")):
        (tmp_path / f"{name}.yaml").write_text(text)
        path = str(tmp_path / f"{name}.yaml")
        assert limegrove("template", "import", path, "--root", str(tmp_path)).code == 0
        assert limegrove("template", "assign", name, node).code == 0
    reported = RULE | {"respond": [{"action": "report", "name": "r", "metadata": {"tags": ["attack.T1110"]}}]}
    acme = {
        "ps": Record(RULE, {"enabled": True, "tags": ["attack.t1059.001", "attack.execution"]}),
        "brute": Record(reported, {"enabled": True, "tags": []}),
    }
    boehm = {"ps": Record(RULE, {"enabled": False, "tags": ["attack.t1490"]})}
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as connection:
        for oid, records in ((OIDS[0], acme), (OIDS[1], boehm)):
            ingest.put_configuration(connection, oid, "hive/dr-general", records, now_ms())
            ingest.put_sync_state(connection, oid, "configuration", checked_at=now_ms())
    return limegrove


def report(limegrove, *arguments, code=3):
    answer = limegrove("report", "coverage", *arguments, "--output", "json")
    assert answer.code == code, answer.err
    return answer.json


def test_each_organization_is_told_what_it_covers_and_what_of_its_own_templates_is_missing(covered):
    found = report(covered)
    by_oid = {each["oid"]: each for each in found["organizations"]}
    assert by_oid[OIDS[0]] == {
        "oid": OIDS[0],
        "organization": NAMES[0],
        "techniques": [
            {"technique": "T1059.001", "rules": ["dr-general/ps"]},
            {"technique": "T1110", "rules": ["dr-general/brute"]},
        ],
        "gaps": ["T1003", "T1490"],
        "read": True,
    }
    assert (by_oid[OIDS[1]]["techniques"], by_oid[OIDS[1]]["gaps"]) == ([], ["T1059.001", "T1490"])
    assert found["wanted"] == ["T1003", "T1059.001", "T1490"]


def test_an_organization_that_was_never_read_has_no_gaps_that_anybody_knows_of(covered):
    (third,) = [each for each in report(covered)["organizations"] if each["oid"] == OIDS[2]]
    assert (third["read"], third["gaps"]) == (False, [])
    said = covered("report", "coverage").err
    assert "2 of 2 lack some; 1 more were never read" in said
    assert "Ltd: its rules were never read, so what it covers is not known." in said


@pytest.mark.parametrize(
    ("against", "gaps"), [("more", ["T1003"]), ("gold", ["T1003", "T1490"]), ("root", ["T1490"])]
)
def test_gaps_are_told_against_another_template_or_all_layers_of_a_node(covered, against, gaps):
    found = report(covered, "--scope", "Acme", "--against", against, code=0)
    assert [each["gaps"] for each in found["organizations"]] == [gaps]


def test_a_template_covers_what_its_enabled_rules_are_tagged_with(covered):
    found = report(covered, "--template", "base", "--against", "more", code=0)
    (only,) = found["organizations"]
    assert [each["technique"] for each in only["techniques"]] == ["T1059.001", "T1490"]
    assert only["gaps"] == ["T1003"]


def test_the_layer_says_for_each_technique_in_how_many_organizations_it_is_covered(covered, tmp_path):
    report(covered, "--layer", str(tmp_path / "layer.json"))
    layer = json.loads((tmp_path / "layer.json").read_text())
    assert layer["domain"] == "enterprise-attack"
    assert layer["versions"]["layer"] == "4.5"
    assert {each["techniqueID"]: (each["score"], each["color"]) for each in layer["techniques"]} == {
        "T1003": (0, "#d73027"), "T1059.001": (1, "#fee08b"), "T1110": (1, "#fee08b"), "T1490": (0, "#d73027"),
    }  # fmt: skip
    assert all(each["enabled"] is True for each in layer["techniques"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--template", "nothing"), "There is no template `nothing`"),
        (("--against", "nothing"), "`nothing` is neither a template nor one node of the tree."),
        (("--layer", "/nowhere/at/all"), "There is no directory /nowhere/at"),
    ],
)
def test_a_wrong_word_is_said(covered, words, said):
    answer = covered("report", "coverage", *words)
    assert answer.code in (1, 2)
    assert said in answer.err


# Reports that are written


@pytest.fixture
def reporting(limegrove, filled, home, tmp_path):
    """Three customers, of which one was read, one failed and one never was; the first two have a tier."""
    (tmp_path / "tree.yaml").write_text(TREE)
    assert limegrove("tree", "import", str(tmp_path / "tree.yaml")).code == 0
    return limegrove


def test_a_customers_report_is_written_in_each_format_and_says_what_it_lacks(reporting, tmp_path):
    out = tmp_path / "out"
    answer = reporting(
        "report", "customer", NAMES[0], "--format", "html,pdf,md", "--out", str(out), "--output", "json"
    )
    assert answer.code == 3
    (report,) = answer.json["reports"]
    assert answer.json["written"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        path.rpartition("/")[2] for path in report["files"]
    )
    assert {path.suffix for path in out.iterdir()} == {".html", ".pdf", ".md"}
    # Since when its alerts are known was not kept: no count of them is a total.
    assert report["figures"]["alerts"]["at_least"]
    assert any("since when it is known" in each for each in report["gaps"])
    assert "1 report written; 0 of 1 lack nothing." in answer.err


def test_each_customer_below_a_node_gets_one_and_a_dry_run_writes_nothing(reporting, tmp_path):
    out = tmp_path / "out"
    answer = reporting(
        "report", "customer", "--scope", "root", "--dry-run", "--out", str(out), "--output", "json"
    )
    assert {each["organization"] for each in answer.json["reports"]} == set(NAMES)
    assert not answer.json["written"]
    assert not out.exists()
    named = {each["organization"]: each["figures"]["alerts"]["value"] for each in answer.json["reports"]}
    assert named[NAMES[1]] is None
    below = reporting("report", "customer", "--scope", "gold", "--dry-run", "--output", "json")
    assert [each["organization"] for each in below.json["reports"]] == NAMES[:1]
    assert len(reporting("report", "customer", "--all", "--dry-run", "--output", "json").json["reports"]) == 3


def test_days_are_those_of_the_customers_own_clock_unless_somebody_says_otherwise(reporting, home):
    (home / "brands").mkdir(mode=0o700)
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as connection:
        customers.put(
            connection, OIDS[0], customers.Customer(time_zone="America/Lima"), by="ann", now=now_ms()
        )

    def zone(*more):
        answer = reporting("report", "customer", NAMES[0], "--dry-run", "--output", "json", *more)
        return answer.json["reports"][0]["time_zone"]

    assert zone() == "America/Lima"
    (home / "brands" / "default.yaml").write_text("time_zone: Europe/Berlin\n")
    assert zone() == "Europe/Berlin"
    assert zone("--time-zone", "Asia/Tokyo") == "Asia/Tokyo"


def test_a_brand_that_cannot_be_used_stops_its_customers_report_alone(reporting, home, tmp_path):
    (home / "brands").mkdir(mode=0o700)
    (home / "brands" / "bad.yaml").write_text("provider: Northlight\ncolour: yellow\n")
    tree = (
        (tmp_path / "tree.yaml")
        .read_text()
        .replace("parent: gold,", "parent: gold, parameters: {report_brand: bad},")
    )
    (tmp_path / "tree.yaml").write_text(tree)
    assert reporting("tree", "import", str(tmp_path / "tree.yaml")).code == 0
    answer = reporting("report", "customer", "--all", "--out", str(tmp_path / "out"), "--output", "json")
    assert answer.code == 3
    assert {each["organization"] for each in answer.json["reports"]} == set(NAMES[1:])
    assert "2 reports written; 1 failed; 0 of 2 lack nothing." in answer.err
    assert 'bad.yaml, colour: it takes a colour as "#rrggbb"' in answer.err
    alone = reporting("report", "customer", NAMES[0], "--out", str(tmp_path / "out"), "--output", "json")
    assert alone.code == 1
    assert (alone.json["reports"], alone.json["written"]) == ([], False)
    assert [(each["oid"], each["organization"]) for each in alone.json["failed"]] == [(OIDS[0], NAMES[0])]
    assert f"{NAMES[0]}: not written. " in alone.err
    assert OIDS[0] not in alone.err
    assert "No report written; 1 failed." in alone.err
    assert "of 0" not in alone.err


@pytest.mark.parametrize("kind", ["executive", "sla"])
def test_a_report_over_all_customers_names_who_is_missing(reporting, tmp_path, kind):
    answer = reporting(
        "report", kind, "--format", "html,md", "--out", str(tmp_path / "out"), "--output", "json"
    )
    assert answer.code == 3
    (report,) = answer.json["reports"]
    assert (report["organizations"], report["complete"]) == (3, 0)
    text = (tmp_path / "out" / f"{kind}_{report['period']}.md").read_text()
    assert "0 of 3 organizations" in text
    assert all(name in text for name in ("Acme Corp", "Böhm", "The key was revoked"))
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ("customer",),
            "Name an organization, or the node whose customers get one with --scope, or say --all.",
        ),
        (("customer", "Acme Corp", "--all"), "An organization and --all do not go together."),
        (("customer", "Nobody"), "There is no organization"),
        (("customer", "--all", "--month", "2026-13"), "'2026-13' is no month; one is written as 2026-10."),
        (("customer", "--all", "--month", "1900-01"), "1900-01 is before 2000"),
        (("customer", "--all", "--month", ""), "--month: cannot be empty"),
        (("customer", "--all", "--month", "2099-01"), "January 2099 has not begun."),
        (("executive", "--month", "2099-01"), "January 2099 has not begun."),
        (("sla", "--month", "2099-01"), "January 2099 has not begun."),
        (("sla", "--month", "2099-01", "--time-zone", "Asia/Tokyo"), "has not begun in Asia/Tokyo."),
        (("sla", "--from", "2099-01-02", "--to", "2099-01-09"), "2099-01-02 has not begun."),
        (("sla", "--from", "1999-12-31", "--to", "2000-01-09"), "1999-12-31 is before 2000"),
        (("customer", "--all", "--month", "2026-10", "--from", "2026-10-01"), "--month goes neither with"),
        (("sla", "--from", "2026-10-01"), "--from and --to go together."),
        (("sla", "--from", "2026-10-02", "--to", "2026-10-01"), "ends (2026-10-01) before it begins"),
        (("executive", "--format", "docx"), "--format takes some of html, pdf, md"),
        (("executive", "--language", "nl"), "--language takes one of en, de, fr, es."),
        (("executive", "--time-zone", "Mars/Olympus"), "There is no time zone"),
    ],
)
def test_what_means_nothing_is_said_in_a_sentence_and_writes_nothing(reporting, tmp_path, arguments, why):
    out = tmp_path / "out"
    answer = reporting("report", *arguments, "--out", str(out))
    assert answer.code == 2
    assert why in answer.err
    assert not out.exists()


@pytest.mark.parametrize("kind", ["customer", "executive", "sla"])
def test_the_month_that_goes_on_is_reported_so_far(reporting, tmp_path, kind):
    month = day_of(now_ms())[:7]
    whom = (NAMES[0],) if kind == "customer" else ()
    words = ("--month", month, "--time-zone", "UTC", "--format", "md", "--out", str(tmp_path))
    assert reporting("report", kind, *whom, *words).code == 3
    (file,) = tmp_path.glob("*.md")
    assert "so far" in file.read_text().splitlines()[2]


def test_of_the_directory_only_the_last_part_is_made(reporting, tmp_path):
    for words in (("customer", NAMES[0]), ("executive",)):
        answer = reporting("report", *words, "--out", str(tmp_path / "no" / "reports"))
        assert answer.code == 1
        assert f"There is no directory {tmp_path / 'no'}; make it first. Nothing was written." in answer.err
    assert not (tmp_path / "no").exists()


def test_a_directory_that_cannot_be_made_is_said(reporting, tmp_path):
    (tmp_path / "file").write_text("")
    answer = reporting("report", "customer", NAMES[0], "--out", str(tmp_path / "file" / "x"))
    assert answer.code == 1
    assert "cannot be made" in answer.err
