"""`limegrove template backtest`: rules over the past of a sandbox's organizations, their price first."""

import asyncio
import json
import time

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.backtest import MANY, Predicted, outliers, rules_of
from store.secret import Secret
from store.templates.documents import resolve
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process

DETECT = "{event: NEW_PROCESS, op: exists, path: event/COMMAND_LINE}"
RULE = (
    f"detect: {DETECT}\nrespond: [{{action: report, name: a}}, {{action: task, command: [history_dump]}}]\n"
)
TEMPLATE = f"""\
version: 3
hives:
  dr-general:
    noisy:
      data: {{detect: {DETECT}, respond: [{{action: report, name: noisy}}]}}
      usr_mtd: {{enabled: true}}
    never:
      data: {{detect: {{event: NEW_PROCESS, op: is, path: event/COMMAND_LINE, value: ''}}, respond: [{{action: report, name: n}}]}}
      usr_mtd: {{enabled: true}}
    asleep:
      data: {{detect: {DETECT}, respond: [{{action: report, name: asleep}}]}}
      usr_mtd: {{enabled: false}}
    timed:
      data: {{detect: {{target: schedule, event: 1h_per_org, op: exists, path: event/a}}, respond: [{{action: report, name: t}}]}}
      usr_mtd: {{enabled: true}}
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    home = tmp_path_factory.mktemp("backtest")
    with sandbox_process(home, "--orgs", "2", "--detections", "0") as (serving, _):
        env = as_user(home, serving)
        assert limegrove("sync", "--only", "orgs", env=env).returncode == 0
        (home / "rule.yaml").write_text(RULE)
        (home / "template.yaml").write_text(TEMPLATE)
        made = limegrove("template", "import", str(home / "template.yaml"), "--root", str(home), env=env)
        assert made.returncode == 0, made.stderr
        yield env, home, serving


def backtest(env, *arguments, code=0):
    answer = limegrove("template", "backtest", *arguments, "--output", "json", env=env)
    assert answer.returncode == code, answer.stdout + answer.stderr
    return json.loads(answer.stdout), answer.stderr


def test_the_price_is_said_and_nothing_is_run_without_consent(stage):
    env, home, serving = stage
    found, said = backtest(env, str(home / "rule.yaml"), "--days", "1", "--estimate")
    assert len(found["organizations"]) == len(serving["oids"]) == 2
    assert all(each["events"] > 0 and each["price"] > 0 for each in found["organizations"])
    assert [each["rules"] for each in found["organizations"]] == [[], []]
    assert "USD cents" in said
    assert "Nothing was run." in said
    refused = limegrove("template", "backtest", str(home / "rule.yaml"), "--days", "1", env=env)
    assert refused.returncode == 5, refused.stderr
    read_only = limegrove("template", "backtest", "template", "--read-only", env=env)
    assert read_only.returncode == 5


def test_what_each_day_would_have_brought_is_what_one_replay_of_them_all_brings(stage):
    env, home, serving = stage
    before = int(time.time())
    found, _ = backtest(env, str(home / "rule.yaml"), "--days", "2", "--yes", "--most", "1000000")

    async def whole(oid):
        endpoint, key = Endpoint.single(serving["url"]), UserKey(serving["uid"], Secret(serving["api_key"]))
        rule = {
            "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/COMMAND_LINE"},
            "respond": [{"action": "report", "name": "a"}],
        }
        async with Cloud(key, endpoint) as cloud:
            return len((await cloud.organization(oid).replay(rule, before - 2 * 86_400, before)).results)

    assert len(found["organizations"]) == len(serving["oids"]) == 2
    for each in found["organizations"]:
        (rule,) = each["rules"]
        assert rule["rule"] == "dr-general/rule"
        assert len(rule["days"]) == 2
        assert min(rule["days"]) > 0
        expected = asyncio.run(whole(each["oid"]))
        # The clock went on between the two, by seconds of events.
        assert abs(rule["alerts"] - expected) <= max(3, expected // 100)


def test_a_template_of_the_store_is_run_by_its_enabled_rules_and_its_outliers_are_named(stage):
    env, _, _ = stage
    found, said = backtest(env, "template", "--days", "1", "--yes", "--most", "1", code=3)
    for each in found["organizations"]:
        alerts = {rule["rule"]: rule["alerts"] for rule in each["rules"]}
        assert set(alerts) == {"dr-general/noisy", "dr-general/never"}
        assert alerts["dr-general/noisy"] > 1
        assert alerts["dr-general/never"] == 0
    assert {each["rule"] for each in found["outliers"]} == {"dr-general/noisy"}
    assert found["outliers"][0]["why"] == "more than 1 alerts a day"
    assert "dr-general/timed is left out" in said


def test_a_rule_that_is_named_is_run_though_it_is_disabled(stage):
    env, _, serving = stage
    scope = serving["oids"][0]
    arguments = ("template", "--rule", "asleep", "--days", "1", "--yes", "--most", "1000000")
    found, _ = backtest(env, *arguments, "--scope", scope)
    assert [[rule["rule"] for rule in each["rules"]] for each in found["organizations"]] == [
        ["dr-general/asleep"]
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "There is no template and no file `nothing`"),
        (("template", "--days", "0"), "--days takes a number from 1 to 90."),
        (("template", "--rule", "nobody"), "has no rule called `nobody` that replay can run."),
        (("template", "--most", "-1"), "--most takes a number above 0."),
    ],
)
def test_a_wrong_word_is_said(stage, words, said):
    answer = limegrove("template", "backtest", *words, env=stage[0])
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_rule_is_an_outlier_where_it_is_far_noisier_than_elsewhere_or_than_anybody_reads():
    def day(oid, *days):
        return Predicted(oid, oid, "r", days)

    odd = outliers([day("a", 1, 1), day("b", 2, 2), day("c", 30, 30)])
    assert [(each.oid, each.per_day, each.why) for each in odd] == [
        ("c", 30.0, "1.5 a day is the median of the other organizations")
    ]
    assert outliers([day("a", 0), day("b", 0), day("c", 9)]) == []
    assert [each.oid for each in outliers([day("a", MANY + 1), day("b", MANY + 2)])] == ["b", "a"]
    assert outliers([Predicted("a", "a", "r", (), "It failed.")]) == []


def test_rules_that_replay_cannot_run_are_named_and_not_run():
    records = resolve("t.yaml", lambda _: TEMPLATE.encode()).records.values()
    found, unable = rules_of(records)
    assert [each.name for each in found] == ["dr-general/noisy", "dr-general/never"]
    assert unable == ["dr-general/timed"]


def test_a_plan_is_run_over_the_past_and_its_outliers_are_kept_with_it(stage):
    env, home, serving = stage
    assert limegrove("sync", "--only", "orgs,config", env=env).returncode == 0
    tree = "- {id: root, parent: null, name: All}\n" + "".join(
        f"- {{id: o{n}, parent: root, name: O{n}, oid: {oid}}}\n" for n, oid in enumerate(serving["oids"])
    )
    (home / "tree.yaml").write_text(tree)
    assert limegrove("tree", "import", str(home / "tree.yaml"), "--yes", env=env).returncode == 0
    assert limegrove("template", "assign", "template", "root", env=env).returncode == 0
    planned = limegrove("rollout", "plan", "--output", "json", env=env)
    assert planned.returncode == 4, planned.stdout + planned.stderr
    plan = str(json.loads(planned.stdout)["plan"])

    def run(*words, code):
        answer = limegrove("rollout", *words, "--output", "json", env=env)
        assert answer.returncode == code, answer.stdout + answer.stderr
        return json.loads(answer.stdout)

    priced = run("backtest", plan, "--days", "1", "--estimate", code=0)
    assert all(each["events"] > 0 for each in priced["organizations"])
    assert run("status", plan, code=0)["backtest"] is None
    found = run("backtest", plan, "--days", "1", "--yes", "--most", "1", code=3)
    assert found["plan"] == int(plan)
    kept = run("status", plan, code=0)["backtest"]
    assert {(each["oid"], each["rule"]) for each in kept["outliers"]} == {
        (oid, "dr-general/noisy") for oid in serving["oids"]
    }
    applied = run("apply", plan, "--yes", code=3)
    assert "dr-general/noisy would have made" in applied["halted"]
    assert applied["applied"] == 0
