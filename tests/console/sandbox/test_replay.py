"""Replay: detection logic over given and stored events, and how it is asked for."""

import json
from typing import Any

import pytest

from console.sandbox.detection_logic import BadRule, Logic, Run, expression, failures
from tests.console.sandbox.conftest import NOW_MS

NOW = NOW_MS // 1000

DOCUMENTED: list[tuple[dict[str, Any], dict[str, Any], bool | None]] = [
    (
        {"op": "is", "path": "event/?/USER", "value": "mona"},
        {"event": {"USER": "bob", "PARENT": {"USER": "mona"}}},
        True,
    ),
    (
        {"op": "is", "path": "event/?/USER", "value": "bob"},
        {"event": {"USER": "bob", "PARENT": {"USER": "mona"}}},
        False,
    ),
    (
        {"op": "contains", "path": "event/*", "value": "needle"},
        {"event": {"a": {"b": [{"c": "a needle"}]}}},
        True,
    ),
    (
        {"op": "is", "path": "event/LIST/?/IP", "value": "203.0.113.5"},
        {"event": {"LIST": [{"DST": {"IP": "203.0.113.5"}}]}},
        None,
    ),
    (
        {"op": "is", "path": "event/LIST/DST/IP", "value": "203.0.113.5"},
        {"event": {"LIST": [{"DST": {"IP": "203.0.113.5"}}]}},
        True,
    ),
    ({"op": "is", "path": "event/new_tags", "value": "vip"}, {"event": {"new_tags": ["a", "vip"]}}, None),
    (
        {
            "op": "and",
            "rules": [{"op": "is", "path": "event/A", "value": "x"}, {"op": "exists", "path": "event/B"}],
        },
        {"event": {"A": "x", "B": 0}},
        True,
    ),
    (
        {
            "op": "or",
            "not": True,
            "rules": [
                {"op": "is", "path": "event/A", "value": "p"},
                {"op": "is", "path": "event/A", "value": "q"},
            ],
        },
        {"event": {"A": "q"}},
        False,
    ),
    (
        {"op": "is", "path": "event/USER", "value": "SVC", "case sensitive": False},
        {"event": {"USER": "svc"}},
        True,
    ),
    ({"op": "is", "path": "event/PORT", "value": "443"}, {"event": {"PORT": 443}}, False),
    ({"op": "exists", "path": "event/A"}, {"event": {"A": None}}, True),
    ({"op": "exists", "path": "event/A", "truthy": True}, {"event": {"A": ""}}, False),
    (
        {"op": "contains", "path": "event/CMD", "value": "reg", "count": 2},
        {"event": {"CMD": "reg add a & reg add b"}},
        True,
    ),
    ({"op": "contains", "path": "event/CMD", "value": "REG"}, {"event": {"CMD": "reg add a"}}, False),
    (
        {"op": "ends with", "path": "event/F", "value": ".SCR", "case sensitive": False},
        {"event": {"F": "C:\\t\\a.scr"}},
        True,
    ),
    ({"op": "starts with", "path": "event/F", "value": "Temp"}, {"event": {"F": "C:\\Temp\\a"}}, False),
    ({"op": "is greater than", "path": "event/PORT", "value": 1024}, {"event": {"PORT": 4444}}, True),
    (
        {"op": "is greater than", "path": "event/CMD", "value": 20, "length of": True},
        {"event": {"CMD": "ls -l"}},
        False,
    ),
    (
        {"op": "matches", "path": "event/F", "re": "\\\\SYSTEM32\\\\.*\\.scr$"},
        {"event": {"F": "C:\\Windows\\System32\\x.scr"}},
        True,
    ),
    (
        {"op": "matches", "path": "event/F", "re": "\\\\SYSTEM32\\\\", "case sensitive": True},
        {"event": {"F": "C:\\Windows\\System32\\x.scr"}},
        False,
    ),
    (
        {"op": "string distance", "path": "event/D", "value": ["harbor.example"], "max": 1},
        {"event": {"D": "harb0r.example"}},
        True,
    ),
    (
        {"op": "string distance", "path": "event/D", "value": "harbor.example", "max": 1},
        {"event": {"D": "h4rb0r.example"}},
        False,
    ),
    ({"op": "cidr", "path": "event/IP", "cidr": "10.16.0.0/16"}, {"event": {"IP": "10.16.9.9"}}, True),
    ({"op": "cidr", "path": "event/IP", "cidr": "10.16.0.0/16"}, {"event": {"IP": "10.17.0.1"}}, False),
    ({"op": "is private address", "path": "event/IP"}, {"event": {"IP": "100.64.9.1"}}, True),
    ({"op": "is private ipv4 address", "path": "event/IP"}, {"event": {"IP": "fd00::1"}}, False),
    ({"op": "is public address", "path": "event/IP"}, {"event": {"IP": "203.0.113.7"}}, True),
    ({"op": "is public address", "path": "event/IP"}, {"event": {"IP": "169.254.1.1"}}, False),
    ({"op": "is platform", "name": "github"}, {"event": {}, "routing": {"plat": 134217728}}, True),
    ({"op": "is windows"}, {"event": {}, "routing": {"plat": 536870912}}, False),
    ({"op": "is 64 bit"}, {"event": {}, "routing": {"arch": 2}}, True),
    ({"op": "is 32 bit"}, {"event": {}, "routing": {"arch": 2}}, False),
    ({"op": "is tagged", "tag": "vip"}, {"event": {}, "routing": {"tags": ["vip"]}}, True),
    ({"op": "is tagged", "tag": "vip"}, {"event": {}}, None),
    (
        {
            "op": "scope",
            "path": "event/CONN/",
            "rule": {
                "op": "and",
                "rules": [
                    {"op": "is", "path": "event/PROTO", "value": "tcp"},
                    {"op": "is", "path": "event/PORT", "value": 445},
                ],
            },
        },
        {"event": {"CONN": [{"PROTO": "tcp", "PORT": 445}]}},
        True,
    ),
    (
        {
            "op": "scope",
            "path": "event/CONN/",
            "rule": {
                "op": "and",
                "rules": [
                    {"op": "is", "path": "event/PROTO", "value": "tcp"},
                    {"op": "is", "path": "event/PORT", "value": 445},
                ],
            },
        },
        {"event": {"CONN": [{"PROTO": "tcp", "PORT": 80}, {"PROTO": "udp", "PORT": 445}]}},
        False,
    ),
    ({"op": "is older than", "path": "event/t", "seconds": 3600}, {"event": {"t": 1000000000}}, True),
    ({"op": "is older than", "path": "event/t", "seconds": 3600}, {"event": {"t": 7258118400}}, False),
    (
        {"op": "is", "path": "event/F", "file name": True, "value": "curl.exe"},
        {"event": {"F": "C:\\b\\curl.exe"}},
        True,
    ),
    (
        {"op": "is", "path": "event/D", "sub domain": "-2:", "value": "evil.test"},
        {"event": {"D": "notevil.test"}},
        False,
    ),
    ({"op": "is", "path": "event/A", "value": "<<event/B>>"}, {"event": {"A": "x", "B": "x"}}, True),
    ({"op": "is", "not": True, "path": "event/MISSING", "value": "x"}, {"event": {"A": 1}}, True),
    (
        {"op": "is", "path": "cat", "value": "Odd shell"},
        {
            "cat": "Odd shell",
            "routing": {"hostname": "b-3"},
            "detect": {"event": {"F": "/bin/sh"}, "routing": {}},
        },
        True,
    ),
    (
        {"op": "ends with", "path": "detect/event/F", "value": "/sh"},
        {
            "cat": "Odd shell",
            "routing": {"hostname": "b-3"},
            "detect": {"event": {"F": "/bin/sh"}, "routing": {}},
        },
        True,
    ),
    (
        {"op": "ends with", "path": "event/F", "value": "/sh"},
        {
            "cat": "Odd shell",
            "routing": {"hostname": "b-3"},
            "detect": {"event": {"F": "/bin/sh"}, "routing": {}},
        },
        False,
    ),
    (
        {"op": "is", "not": True, "path": "detect/event/NOPE", "value": "x"},
        {
            "cat": "Odd shell",
            "routing": {"hostname": "b-3"},
            "detect": {"event": {"F": "/bin/sh"}, "routing": {}},
        },
        True,
    ),
    ({"op": "is", "path": "event/N", "value": 1}, {"event": {"N": True}}, False),
    ({"op": "is", "path": "event/N", "value": 1}, {"event": {"N": 1.0}}, None),
    ({"op": "is greater than", "path": "event/N", "value": 1}, {"event": {"N": "2"}}, None),
    ({"op": "is lower than", "path": "event/N", "value": 5}, {"event": {"N": 4.5}}, True),
    ({"op": "is", "path": "event/A", "value": "<<event/NOPE>>"}, {"event": {"A": "x"}}, False),
    ({"op": "is", "path": "event/A", "value": "[[known]]"}, {"event": {"A": "x"}}, None),
    ({"op": "contains", "path": "event/A", "value": "aa", "count": 2}, {"event": {"A": "aaa"}}, None),
    ({"op": "is", "path": "event/L/?", "value": "b"}, {"event": {"L": ["a", "b"]}}, True),
    (
        {"op": "is", "path": "event/A", "value": "STRASSE", "case sensitive": False},
        {"event": {"A": "stra\u00dfe"}},
        False,
    ),
    ({"op": "matches", "path": "event/A", "re": "b$"}, {"event": {"A": "ab\n"}}, False),
    ({"op": "is", "path": "event/D", "sub domain": "0:2", "value": "a.b"}, {"event": {"D": "a.b.c"}}, True),
    ({"op": "is", "path": "event/D", "sub domain": "-1", "value": "c"}, {"event": {"D": "a.b.c"}}, True),
    ({"op": "is", "path": "event/D", "sub domain": ":", "value": "b"}, {"event": {"D": "a.b.c"}}, True),
    ({"op": "is 64 bit"}, {"event": {}, "routing": {"arch": 4}}, None),
    ({"op": "is public address", "path": "event/IP"}, {"event": {"IP": "250.0.0.1"}}, None),
    ({"op": "exists", "path": "event/A", "times": [{"tz": "UTC"}]}, {"event": {"A": 1}}, None),
    ({"op": "exists", "path": "event/B", "times": [{"tz": "UTC"}]}, {"event": {"A": 1}}, False),
    (
        {
            "op": "and",
            "rules": [{"op": "is tagged", "tag": "x"}, {"op": "exists", "path": "event/NOPE"}],
        },
        {"event": {}},
        False,
    ),
    (
        {"op": "or", "rules": [{"op": "is tagged", "tag": "x"}, {"op": "exists", "path": "event"}]},
        {"event": {}},
        True,
    ),
    (
        {"event": "NEW_PROCESS", "op": "exists", "path": "event/NOPE", "not": True},
        {"event": {}, "routing": {"event_type": "DNS_REQUEST"}},
        False,
    ),
    (
        {"target": "detection", "event": "Odd shell", "op": "exists", "path": "detect"},
        {"cat": "Odd shell", "detect": {}},
        True,
    ),
]
"""A rule, an event, and what becomes of it: None where the documentation leaves it open."""


@pytest.mark.parametrize(("rule", "event", "verdict"), DOCUMENTED)
def test_logic_decides_as_documented(
    rule: dict[str, Any], event: dict[str, Any], verdict: bool | None
) -> None:
    run = Run(event, NOW)
    assert Logic(rule).evaluate(run) is verdict
    assert bool(run.open) == (verdict is None)


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ({"op": "external", "resource": "lcr://detection/x"}, "detect: the operator 'external'"),
        ({"op": "yara", "resource": "hive://yara/x"}, "the operator 'yara'"),
        ({"op": "or", "rules": [{"op": "ask ai", "prompt": "?"}]}, "detect/rules/0: the operator 'ask ai'"),
        ({"op": "lookup", "path": "event/D", "resource": "lcr://api/vt"}, "the operator 'lookup'"),
        (
            {"op": "lookup", "path": "event/D", "resource": "hive://lookup/bad"},
            'lookup "bad" is not available',
        ),
        ({"op": "exists", "path": "/", "with child": {"op": "exists", "path": "/"}}, "'with child'"),
        ({"op": "regex", "path": "event/A", "value": "x"}, "unknown operator 'regex'"),
        ({"op": "is", "path": "event/A"}, "needs 'value'"),
        ({"op": "is", "path": "event/A", "value": ["x"]}, "'value' has to be"),
        ({"op": "and", "rules": []}, "'rules' is empty"),
        ({"op": "and", "rules": [{"op": "and", "rules": ["x"]}]}, "detect/rules/0/rules/0"),
        ({"op": "matches", "path": "event/A", "re": "("}, "does not compile"),
        ({"op": "matches", "path": "event/A", "re": "(?<=x)y"}, "look-behind"),
        ({"op": "matches", "path": "event/A", "re": r"(a)\1"}, "back-reference"),
        ({"op": "cidr", "path": "event/A", "cidr": "10.0.0.0/99"}, "'cidr' is no network"),
        ({"target": "log", "op": "exists", "path": "/"}, "the target 'log'"),
        ({"path": "event/A", "value": "x"}, "'op' is missing"),
        ({}, "is empty"),
        ([], "has to be an object"),
    ],
)
def test_a_rule_that_is_wrong_or_needs_the_cloud_is_refused_by_name(rule: Any, about: str) -> None:
    with pytest.raises(BadRule) as refused:
        Logic(rule)
    assert about in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\\policies\\127", r"x\policies\127", True),
        (r"^[]a]+$", "]a", True),
        (r"\d", "\u0663", False),
        (r"a\sb", "a\vb", False),
        (r"[\s]", "\t", True),
        (r"a\z", "a", True),
        (r"a\++", "a++", True),
        ("A", "a", True),
    ],
)
def test_expressions_are_those_of_re2(pattern: str, text: str, found: bool) -> None:
    assert (expression(pattern, False).search(text) is not None) is found


def test_a_rules_own_tests_are_run() -> None:
    rule = {
        "detect": {"event": "NEW_PROCESS", "op": "ends with", "path": "event/F", "value": ".scr"},
        "respond": [],
        "tests": {
            "match": [
                [{"event": {"F": "a.scr"}, "routing": {"event_type": "NEW_PROCESS"}}],
                [{"event": {"F": "a.exe"}, "routing": {"event_type": "NEW_PROCESS"}}],
                [{"event": {"F": "a.scr"}, "routing": {"event_type": "DNS_REQUEST"}}],
            ],
            "non_match": [
                [{"event": {"F": "a.scr"}, "routing": {"event_type": "DNS_REQUEST"}}],
                [{"event": {"F": "b.scr"}, "routing": {"event_type": "NEW_PROCESS"}}],
            ],
        },
    }
    assert failures(rule, NOW) == [
        "match test 2 did not match",
        "match test 3 holds an event of type DNS_REQUEST, expected NEW_PROCESS",
        "non_match test 2 matched",
    ]


def test_a_test_that_turns_on_what_is_open_fails_nothing() -> None:
    tests: dict[str, Any] = {"match": [[{"event": {}}]], "non_match": [[{"event": {}}]]}
    assert failures({"detect": {"op": "is tagged", "tag": "x"}, "tests": tests}, NOW) == []


async def test_a_rule_whose_tests_fail_is_not_stored(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/dr-general/{asker.one.oid}/tested/data"
    for name, status in (("chrome.exe", 200), ("other.exe", 400)):
        rule = CHROME | {"tests": {"match": [[_event(name)]]}}
        answer = await asker.ask("POST", path, token, data={"data": json.dumps(rule)})
        assert answer[0] == status, answer
    assert (
        answer[1]["error"] == "lc_error_code:INVALID - dr-general/tested: tests: match test 1 did not match"
    )


# Over HTTP

CHROME = {
    "detect": {"event": "NEW_PROCESS", "op": "ends with", "path": "event/FILE_PATH", "value": "chrome.exe"},
    "respond": [
        {"action": "report", "name": "chrome on {{ .routing.hostname }}", "priority": 3},
        {"action": "add tag", "tag": "browser"},
    ],
}


async def _replayed(asker: Any, token: str = "", **body: Any) -> tuple[int, Any]:
    token = token or await asker.token(oid=asker.one.oid)
    status, said, _ = await asker.ask("POST", "/", token, json={"oid": asker.one.oid} | body)
    return status, said


def _event(path: str) -> dict[str, Any]:
    return {"event": {"FILE_PATH": path}, "routing": {"event_type": "NEW_PROCESS", "hostname": "ws-1"}}


async def test_a_given_rule_is_replayed_over_given_events(asker: Any) -> None:
    events = [_event("C:\\chrome.exe"), _event("C:\\other.exe")]
    status, said = await _replayed(
        asker, rule_source={"rule": CHROME}, event_source={"events": events}, trace=True
    )
    assert (status, said["error"], said["did_match"]) == (200, "", True)
    assert (said["stats"]["n_proc"], said["stats"]["n_matched"], said["stats"]["n_eval"]) == (2, 1, 2)
    report, tag = said["results"]
    assert (report["action"], report["data"]["cat"]) == ("report", "chrome on ws-1")
    assert report["data"]["detect"] == events[0]
    assert report["data"]["priority"] == 3
    assert tag == {"action": "add tag", "data": {"action": "add tag", "tag": "browser"}}
    assert said["traces"] == [["detect: ends with: match"], ["detect: ends with: no match"]]


async def test_a_given_rule_is_replayed_over_what_is_stored(asker: Any) -> None:
    start, end = NOW - 7200, NOW
    expected = [
        event
        for sensor in asker.world.sensors_of(asker.one)
        for event in asker.world.events.between(asker.one, sensor, start * 1000, end * 1000 + 1000)
    ]
    hits = [event for event in expected if event["event"].get("FILE_PATH", "").endswith("chrome.exe")]
    source: dict[str, Any] = {"sensor_events": {"start_time": start, "end_time": end}}
    _, said = await _replayed(asker, rule_source={"rule": CHROME}, event_source=source)
    reports = [one["data"]["detect"] for one in said["results"] if one["action"] == "report"]
    assert reports == sorted(hits, key=lambda event: -event["routing"]["event_time"]) != []
    assert said["stats"]["n_proc"] == said["stats"]["n_billed"] == len(expected)
    sid = hits[0]["routing"]["sid"]
    source["sensor_events"]["sid"] = sid
    _, of_one = await _replayed(asker, rule_source={"rule": CHROME}, event_source=source)
    assert {one["data"]["routing"]["sid"] for one in of_one["results"] if one["action"] == "report"} == {sid}
    del source["sensor_events"]["sid"]
    source["sensor_events"]["selector"] = "plat == linux"
    _, none = await _replayed(asker, rule_source={"rule": CHROME}, event_source=source)
    assert not none["did_match"]


FIRED = "scheduled-task-from-temp"


async def test_a_rule_that_fired_fires_again_over_what_it_fired_on(asker: Any) -> None:
    world, one = asker.world, asker.one
    number = next(
        number
        for number in range(one.detections)[::-1]
        if world.detections.rule(one.index, number).key == FIRED
    )
    routing = world.detections.detection(one.index, number)["routing"]
    moment = routing["event_time"] // 1000
    _, said = await _replayed(
        asker,
        rule_source={"rule_name": FIRED},
        event_source={
            "sensor_events": {"start_time": moment - 60, "end_time": moment + 60, "sid": routing["sid"]}
        },
    )
    assert routing["this"] in [each["data"]["routing"]["this"] for each in said["results"]]


async def test_a_stored_rule_is_replayed_over_stored_detections(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    world = asker.world
    cat = world.detections.rule(asker.one.index, 0).cat
    rule = {
        "detect": {"target": "detection", "op": "is", "path": "cat", "value": cat},
        "respond": [{"action": "report", "name": "again"}],
    }
    hive = f"/v1/hive/dr-general/{asker.one.oid}/again/data"
    form = {"data": json.dumps(rule), "usr_mtd": '{"enabled": true}'}
    assert (await asker.ask("POST", hive, token, data=form))[0] == 200
    source = {"stream": "detect", "sensor_events": {"start_time": NOW - 31 * 86_400, "end_time": NOW}}
    _, said = await _replayed(asker, rule_source={"rule_name": "again"}, event_source=source)
    numbers = range(asker.one.detections)
    assert len(said["results"]) == sum(
        world.detections.rule(asker.one.index, number).cat == cat for number in numbers
    )
    assert said["results"][0]["data"]["source_rule"] == "general.again"
    status, missing = await _replayed(asker, rule_source={"rule_name": "nothing"}, event_source=source)
    assert (status, missing["error"]) == (404, "rule not found: nothing")


async def test_a_dry_run_estimates_and_evaluates_nothing(asker: Any) -> None:
    source = {"sensor_events": {"start_time": NOW - 3600, "end_time": NOW}}
    _, real = await _replayed(asker, rule_source={"rule": CHROME}, event_source=source)
    _, dry = await _replayed(asker, rule_source={"rule": CHROME}, event_source=source, is_dry_run=True)
    assert (dry["is_dry_run"], dry["did_match"], dry["results"]) == (True, False, [])
    assert dry["stats"]["n_billed"] == real["stats"]["n_proc"] > 0
    assert dry["stats"]["estimated_price"] == real["stats"]["estimated_price"]
    assert dry["stats"]["n_eval"] == 0


async def test_limits_end_a_replay_and_it_says_so(asker: Any) -> None:
    events = [_event("chrome.exe")] * 10
    _, said = await _replayed(
        asker, rule_source={"rule": CHROME}, event_source={"events": events}, limit_event=4
    )
    assert (said["limit_event_reached"], said["stats"]["n_proc"]) == (True, 4)
    _, said = await _replayed(
        asker, rule_source={"rule": CHROME}, event_source={"events": events}, limit_eval=3
    )
    assert (said["limit_eval_reached"], said["stats"]["n_eval"]) == (True, 3)


async def test_lookups_come_with_the_request(asker: Any) -> None:
    detect = {
        "op": "lookup",
        "path": "event/D",
        "resource": "hive://lookup/bad",
        "case sensitive": False,
        "metadata_rules": {"op": "is greater than", "path": "score", "value": 7},
    }
    rule = {"detect": detect, "respond": [{"action": "report", "name": "bad"}]}
    events = [{"event": {"D": domain}} for domain in ("EVIL.test", "mild.test", "good.test")]
    lookups = {"bad": {"evil.test": {"score": 9}, "mild.test": {"score": 2}}}
    _, said = await _replayed(
        asker, rule_source={"rule": rule}, event_source={"events": events}, lookups=lookups
    )
    assert [one["data"]["detect"] for one in said["results"]] == [events[0]]
    assert said["results"][0]["data"]["mtd"] == {"bad": {"score": 9}}
    _, without = await _replayed(asker, rule_source={"rule": rule}, event_source={"events": events})
    assert without["error"].startswith('lookup "bad" is not available in replay')
    status, many = await _replayed(
        asker, rule_source={"rule": rule}, lookups={str(number): {} for number in range(33)}
    )
    assert (status, many["error"]) == (400, "invalid lookups: too many lookups: 33 (max 32)")


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ({"detect": {"op": "yara", "resource": "hive://yara/x"}, "respond": []}, "'yara'"),
        ({"detect": {"op": "nonsense"}, "respond": []}, "unknown operator 'nonsense'"),
        ({"detect": {"op": "exists", "path": "/"}, "respond": "report"}, "respond: has to be a list"),
        ({"detect": {"op": "exists", "path": "/"}, "respond": [{"action": "report"}]}, "needs a 'name'"),
    ],
)
async def test_a_rule_that_does_not_compile_is_told_in_the_answer(
    asker: Any, rule: dict[str, Any], about: str
) -> None:
    status, said = await _replayed(
        asker, rule_source={"rule": rule}, event_source={"events": [{"event": {}, "routing": {}}]}
    )
    assert status == 200
    assert about in said["error"]
    assert (said["did_match"], said["results"]) == (False, [])


async def test_what_is_open_is_told_and_no_match(asker: Any) -> None:
    rule = {"detect": {"op": "is tagged", "tag": "x"}, "respond": [{"action": "report", "name": "n"}]}
    _, said = await _replayed(asker, rule_source={"rule": rule}, event_source={"events": [{"event": {}}]})
    assert (said["did_match"], said["results"]) == (False, [])
    assert said["error"].startswith("not evaluated here: detect: the tags of the sensor")


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ({}, "a rule_name or a rule is wanted"),
        ({"rule_source": {"rule": CHROME}}, "missing parameter start_time"),
        ({"rule_source": {"rule": CHROME}, "event_source": {"stream": "x"}}, "unknown stream"),
        ({"rule_source": {"rule": CHROME}, "event_source": {"events": "x"}}, "bad parameter events"),
        ({"rule_source": {"rule_name": "x", "namespace": "y"}}, "unknown namespace"),
        ({"rule_source": 7}, "bad parameter rule_source"),
        ({"rule_source": {"rule_name": ["x"]}}, "bad parameter rule_name"),
        ({"event_source": {"stream": ["x"]}}, "bad parameter stream"),
        ({"query": "* | * | *"}, "has to begin with a range of time"),
        ({"query": "-1h | * | * | a fnord"}, "unknown operator"),
    ],
)
async def test_a_bad_request_is_refused(asker: Any, body: dict[str, Any], about: str) -> None:
    status, said = await _replayed(asker, **body)
    assert status == 400
    assert about in said["error"]


async def test_replay_needs_its_permission_and_a_token(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid, perms="insight.det.get")
    status, said = await _replayed(asker, token, rule_source={"rule": CHROME})
    assert (status, said["error"]) == (401, "unauthorized: missing privilege named insight.evt.get")
    status, said, _ = await asker.ask("POST", "/", json={"oid": asker.one.oid})
    assert (status, said["error"]) == (401, "unauthorized: invalid or expired token")


async def test_a_query_is_answered_in_pages_or_at_once(asker: Any) -> None:
    query = {"query": "-6h | * | DNS_REQUEST | *"}
    _, whole = await _replayed(asker, **query)
    assert whole["cursor"] == ""
    pages, cursor = [], "-"
    while cursor:
        _, page = await _replayed(asker, **query, event_source={"sensor_events": {"cursor": cursor}})
        pages += page["results"]
        cursor = page["cursor"]
    assert len(pages) == len(whole["results"]) > 200
    assert {row["data"]["routing"]["event_type"] for row in pages} == {"DNS_REQUEST"}
    _, valid = await _replayed(asker, **query, is_validation=True)
    assert (valid["error"], valid["results"]) == ("", [])
    _, bad = await _replayed(asker, query="-3h | * | * | a fnord", is_validation=True)
    assert bad["error"].startswith("bad query: ")
