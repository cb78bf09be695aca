"""A file of wishes: read, and judged line by line before anything is done."""

import csv
import io
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.onboarding import (
    COLUMNS,
    MOST,
    InstallationKey,
    Judged,
    Known,
    Output,
    Place,
    Wrong,
    is_address,
    judged,
    read_csv,
)
from store.templates.documents import resolve
from store.templates.effective import Layer
from store.text import Untrusted, safe_text
from tests.corpus.strings import CORPUS
from tests.helpers.soak import examples


def layer(name: str, text: str) -> Layer:
    return Layer("", "", name, resolve("main.yaml", lambda _: f"version: 3\n{text}".encode()))


BASE = layer(
    "base/all",
    "extensions: [ext-cases]\noutputs:\n  audit: {module: syslog, for: audit, dest_host: a.example:514}\n",
)
EDR = layer(
    "edr",
    "limegrove: {parameters: {siem_host: {type: string, required: true}}}\n"
    "outputs:\n  siem: {module: syslog, for: detect, dest_host: '${siem_host}'}\n",
)

KNOWN = Known(
    places={
        "root": Place("root", "", Untrusted("All"), layers=(BASE,)),
        "eu": Place("eu", "Europe", Untrusted("Europe"), {"retention_days": 90}, layers=(BASE,)),
        "gold": Place("gold", "Europe/Gold", Untrusted("Gold"), {"retention_days": 90}, layers=(BASE,)),
        "us-gold": Place("us-gold", "Americas/Gold", Untrusted("Gold")),
    },
    organizations={"o1": Untrusted("Acme Dental")},
    templates={"base/all": BASE, "edr": EDR},
    groups={"g1": (Untrusted("SOC L1"), True), "g2": (Untrusted("Twin"), True), "g3": (Untrusted("Twin"), True),
            "g4": (Untrusted("Theirs"), False)},
    people=frozenset({"owner@msp.example", "a@b.example"}),
    extensions=frozenset({"ext-cases", "ext-exfil"}),
)  # fmt: skip


def cells(**more: str) -> Mapping[str, str]:
    return {"name": "Borealis Foods"} | more


def one(**more: str) -> Judged:
    return judged([(2, {name: value for name, value in cells(**more).items() if value})], KNOWN)


def said(found: Judged) -> list[str]:
    return [str(each) for each in found.wrong]


def written(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def read(content: bytes, known: Known = KNOWN) -> Judged:
    return judged(*read_csv(content)[:1], known, read_csv(content)[1])


def test_a_line_becomes_a_wish_with_all_that_it_says() -> None:
    found = one(
        region="Europe", node="Europe/Gold", id="borealis", tier="gold", labels="country=no;industry=food",
        parameters="siem_host=siem.borealis.example:514;weight=2;loud=true", marks="protected;canary",
        sla="critical=15m/4h", quota="250", templates="edr", groups="SOC L1", owners="owner@msp.example",
        users="kim@borealis.example:viewer; ola@borealis.example:Operator",
        installation_keys="windows;Linux:server+prod", extensions="ext-exfil",
        outputs="hook webhook detect dest_host=https://hooks.example/1 secret_key=hive://secret/hook",
        contacts="Dr. Ines Roth|CISO|ines@borealis.example|+47 22 12 34 56;Night desk|||'+47 22 00 00 00",
        time_zone="Europe/Berlin", service_hours="Mon-Fri=08:00-18:00", holidays="NO",
    )  # fmt: skip

    assert said(found) == []
    (wish,) = found.wishes
    assert (wish.region, wish.node, wish.node_id, wish.quota) == ("europe", "gold", "borealis", 250)
    assert wish.labels == {"country": "no", "industry": "food", "tier": "gold"}
    assert wish.parameters == {
        "siem_host": "siem.borealis.example:514", "weight": 2, "loud": True, "sla_critical": "15m/4h",
    }  # fmt: skip
    assert wish.marks == ("protected", "canary")
    assert wish.groups == ("g1",)
    assert wish.users == (
        ("owner@msp.example", "Owner"), ("kim@borealis.example", "Viewer"), ("ola@borealis.example", "Operator"),
    )  # fmt: skip
    assert wish.keys == (
        InstallationKey("windows", ("windows",)),
        InstallationKey("linux", ("server", "prod")),
    )
    assert wish.outputs == (
        Output("hook", {"module": "webhook", "for": "detect", "dest_host": "https://hooks.example/1",
                        "secret_key": "hive://secret/hook"}),
    )  # fmt: skip
    assert wish.document == {
        "contacts": [
            {"name": "Dr. Ines Roth", "role": "CISO", "phone": "+47 22 12 34 56", "mail": "ines@borealis.example"},
            {"name": "Night desk", "phone": "+47 22 00 00 00"},
        ],
        "time_zone": "Europe/Berlin", "service_hours": {"Mon-Fri": "08:00-18:00"}, "holidays": {"country": "NO"},
    }  # fmt: skip
    assert set(wish.records) == {("extension", "ext-cases"), ("output", "audit"), ("output", "siem")}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": ""}, "name: The organization has no name."),
        ({"name": "Acme  dental"}, "name: 'Acme  dental' is taken: there is an organization of this name already."),
        ({"name": "A/B"}, "name: 'A/B' holds a slash or a line break, which stands between nodes in a path."),
        ({"name": "Näh [b]x[/b]"}, "name: 'Näh [b]x[/b]' holds a slash"),
        ({"name": "=HYPERLINK(1)"}, "name: '=HYPERLINK(1)' begins as a formula does"),
        ({"name": "@SUM(A1)"}, "name: '@SUM(A1)' begins as a formula does"),
        ({"name": "'=cmd|' /C calc'!A0"}, "begins as a formula does"),
        ({"name": "Acme\u202egnp"}, "holds characters that cannot be seen"),
        ({"name": "x" * 201}, "name: The name has more than 200 characters."),
        ({"region": "europa"}, "region: 'europa' is no region; is 'europe' meant?"),
        ({"region": "qqq"}, "there are 'australia', 'auto'"),
        ({"node": "Europe/Golf"}, "node: The tree has no node 'Europe/Golf'; is 'Europe/Gold' meant?"),
        ({"node": "Gold"}, "node: 'Gold' is the name of 2 nodes; say which by its id: 'gold', 'us-gold'."),
        ({"id": "gold"}, "id: The tree has a node 'gold' already."),
        ({"id": "a/b"}, "may not be empty, hold a slash"),
        ({"quota": "-1"}, "quota: '-1' is no number of sensors."),
        ({"quota": "=1+1"}, "quota: '=1+1' is no number of sensors."),
        ({"quota": "12.5"}, "quota: '12.5' is no number of sensors."),
        ({"quota": "\u0663"}, "is no number of sensors."),
        ({"labels": "gold"}, "labels: 'gold' has to be name=value."),
        ({"labels": "a=1;a=2"}, "labels: 'a' is there twice."),
        ({"labels": "tier=silver", "tier": "gold"}, "tier: The labels name another tier."),
        ({"parameters": "Siem=1"}, "parameters: 'Siem' is no name"),
        ({"parameters": "api_key=abc"}, "looks like a secret"),
        ({"sla": "critical=4h"}, "sla: 'critical' cannot be '4h'"),
        ({"sla": "critical=4h/15m"}, "the longer one"),
        ({"sla": "urgent=1h/2h"}, "sla: 'urgent' is no severity"),
        ({"marks": "protcted"}, "marks: 'protcted' is no mark; is 'protected' meant?"),
        ({"templates": "edrr"}, "templates: No template is called 'edrr'; is 'edr' meant?"),
        ({"templates": "edr"}, "The parameter siem_host of edr"),
        ({"templates": "base/all"}, "templates: 'base/all' is laid on a node above already."),
        ({"groups": "SOC L2"}, "groups: No group is called 'SOC L2'; is 'SOC L1' meant?"),
        ({"groups": "Twin"}, "groups: 2 groups are called 'Twin'; say which by its gid: g2, g3."),
        ({"groups": "Theirs"}, "does not own the group 'Theirs'"),
        ({"groups": "SOC L1;g1"}, "groups: The group 'g1' is there twice."),
        ({"users": "kim@acme.example"}, "has to be an address and a role"),
        ({"users": "kim@acme.example:Boss"}, "users: 'Boss' is no role; there are 'Administrator'"),
        ({"users": "kim@acme:Viewer"}, "users: 'kim@acme' is no e-mail address."),
        ({"users": "kim@@acme.example:Viewer"}, "is no e-mail address."),
        ({"users": "k\u0456m@acme.example:Viewer"}, "is no e-mail address."),
        ({"owners": "root@", "users": ""}, "owners: 'root@' is no e-mail address."),
        ({"owners": "ovner@msp.example"}, "owners: Nobody with access to anything is called 'ovner@msp.example'"),
        ({"owners": "a@b.example", "users": "A@b.example:Viewer"}, "users: 'A@b.example' is there twice."),
        ({"users": "a@b.example:Viewer;=cmd:Viewer"}, "begins as a formula does"),
        ({"installation_keys": "beos"}, "installation_keys: 'beos' is no platform"),
        ({"installation_keys": "linux;LINUX"}, "installation_keys: linux is there twice."),
        ({"installation_keys": "linux:a b"}, "installation_keys: 'a b' are no tags"),
        ({"extensions": "ext-casses"}, "extensions: No extension is called 'ext-casses'; is 'ext-cases' meant?"),
        ({"extensions": "Ext Cases"}, "is no name of an extension"),
        ({"outputs": "siem syslog"}, "outputs: 'siem syslog' has to be a name, a module"),
        ({"outputs": "siem sylog detect dest_host=a:1"}, "outputs: output/siem"),
        ({"outputs": "siem syslog detections dest_host=a:1"}, "outputs: output/siem"),
        ({"outputs": "siem syslog detect"}, "lacks `dest_host`"),
        ({"outputs": "s webhook detect dest_host=https://a secret_key=hush"}, "'secret_key' of 's' is a secret"),
        ({"outputs": "audit syslog audit dest_host=a:1"}, "outputs/audit comes from the template 'base/all' already."),
        ({"contacts": "Kim|CISO|kim(at)acme"}, "contacts: 'kim(at)acme' is no e-mail address."),
        ({"contacts": "Kim|CISO||call me"}, "contacts: 'call me'"),
        ({"contacts": "Kim;kim"}, "contacts: 'kim' is there twice."),
        ({"service_hours": "always"}, "service_hours: Service hours are days with hours"),
        ({"service_hours": "Mon-Fri=8"}, "service_hours: "),
        ({"holidays": "ZZ"}, "holidays: "),
        ({"contacts": "=cmd|x"}, "has to be a name, and behind |"),
        ({"time_zone": "Europe/Berln"}, "time_zone: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_said_with_its_line_and_column(wrong: dict[str, str], text: str) -> None:
    found = one(**wrong)

    assert found.stopped, found
    assert any(text in each for each in said(found)), said(found)
    assert all(each.startswith("Line 2, ") for each in said(found))


def test_a_name_that_may_be_another_is_worth_a_look_and_stops_nothing() -> None:
    found = one(name="Acm\u0435 Foods")

    assert found.stopped == ()
    assert "may not be what it looks like (mixes Cyrillic and Latin: U+0435)" in said(found)[0]


def test_names_that_people_take_for_one_are_twice_in_the_file() -> None:
    found = read(written([{"name": "Cedar Clinic"}, {"name": "CEDAR\u00a0CLINIC".replace("\u00a0", " ")},
                          {"name": "Delta", "id": "d"}, {"name": "Delta two", "id": "d"}]))  # fmt: skip

    assert said(found) == [
        "Line 3, name: 'CEDAR CLINIC' is the name of line 2, too.",
        "Line 5, id: 'd' is the id of line 4, too.",
    ]


def test_a_name_that_the_cloud_gives_to_nobody_is_taken() -> None:
    known = Known(places=KNOWN.places, taken=frozenset({"Cedar Clinic"}))

    assert "gives this name to nobody more" in said(read(written([{"name": "cedar clinic"}]), known))[0]


def test_each_line_is_judged_and_all_of_it_is_told() -> None:
    rows = [
        {"name": "Good"},
        {"name": "Bad", "region": "mars"},
        {"name": "", "quota": "many"},
        {"name": "Good"},
    ]

    found = read(written(rows))

    assert [each.line for each in found.stopped] == [3, 4, 4, 5]


def test_lines_are_counted_over_values_of_several_lines() -> None:
    content = b'name,contacts\r\n"Good","Kim\r\nOla"\r\n\r\nBad,"=1|2"\r\n'

    found = read(content)

    assert found.wishes[0].document == {"contacts": [{"name": "Kim"}, {"name": "Ola"}]}
    assert [each.line for each in found.stopped] == [5]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfname;quota\nAcme Two;5\n",
        b"name\tquota\nAcme Two\t5\n",
        b"Name , QUOTA\nAcme Two, 5\n",
        b'quota,name\n5,"Acme Two"',
    ],
)
def test_what_spreadsheets_write_is_read(content: bytes) -> None:
    found = read(content)

    assert found.stopped == ()
    assert [(wish.name, wish.quota) for wish in found.wishes] == [("Acme Two", 5)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "The file is empty"),
        (b"name\n", "There is no customer below the header."),
        (b"name,qouta\nA,1\n", "No column is called 'qouta'. Is quota meant?"),
        (b"name,flavour\nA,1\n", "No column is called 'flavour'. There are name, region"),
        (b"region\neurope\n", "The column name is missing."),
        (b"name,name\nA,B\n", "The column name is there twice."),
        (b"name,quota\nA,1,2\n", "Line 2: This line has 3 cells, the header 2."),
        (b"name\nA\n\xff\n", "Line 3: This is no UTF-8"),
        ("name\nA\n".encode("utf-16"), "The file is UTF-16"),
        (b"name\nA\n\0\n", "Line 3: A NUL character stands here."),
        (b'name\n"A" B\n', "This cannot be read as CSV"),
        (b'name\n"A\n', "This cannot be read as CSV"),
        (b"name\n" + b"A\n" * (MOST + 1), "There are more than 2,000 customers in the file."),
        (b"name\n" + b"A" * 5_000_001, "The file has more than 5,000,000 bytes."),
    ],
    ids=itertools.count(),
)
def test_a_file_that_cannot_be_read_says_where_and_why(content: bytes, text: str) -> None:
    found = read(content)

    assert found.stopped
    assert text in " ".join(said(found))


def test_whoever_makes_them_owns_them_already() -> None:
    known = Known(places=KNOWN.places, me="Root@msp.example", people=frozenset({"root@msp.example"}))

    found = judged([(2, cells(owners="root@msp.example", users="kim@acme.example:Basic"))], known)

    assert said(found) == []
    assert found.wishes[0].users == (("kim@acme.example", "Basic"),)


def test_what_an_extension_is_called_is_checked_only_where_the_cloud_was_asked() -> None:
    unasked = Known(places=KNOWN.places)

    assert judged([(2, cells(extensions="ext-anything"))], unasked).stopped == ()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("kim@acme.example", True), ("k.i-m+x@a-b.co.example", True), ("kim@acme", False), ("@acme.example", False),
        ("kim@-acme.example", False), ("kim@acme..example", False), (".kim@acme.example", False),
        ("kim@acme.example\n", False), ("kim @acme.example", False), ("a@" + "b" * 260 + ".example", False),
        ("<kim@acme.example>", False), ("kim@acme.example,", False), ("kim@\u0430cme.example", False),
    ],
)  # fmt: skip
def test_an_address_is_one_or_is_none(text: str, good: bool) -> None:
    assert is_address(text) is good


HOSTILE = [each for kind in CORPUS.values() for each in kind]


@settings(max_examples=examples(400), deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(COLUMNS), st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE)), max_size=6
        ),
        max_size=5,
    )
)
def test_whatever_a_file_holds_it_is_judged_in_safe_sentences(rows: list[dict[str, str]]) -> None:
    found = read(written(_encodable(rows)))

    for each in found.wrong:
        text = str(each)
        assert safe_text(text, 10_000) == text
    for wish in found.wishes:
        assert wish.name == wish.name.strip()
        assert "/" not in wish.name


def _encodable(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value.encode("utf-8", "replace").decode() for name, value in row.items()} for row in rows]


def test_a_complaint_of_a_single_wish_has_no_line() -> None:
    found = judged([(0, cells(region="mars"))], KNOWN)

    assert str(found.wrong[0]).startswith("region: 'mars'")
    assert str(Wrong(0, "", "So.")) == "So."


def test_values_are_numbers_where_json_has_them_so() -> None:
    wish: Any = one(parameters='a=1;b=010;c=1.5;d=true;e=yes;f=["x"];g=NaN;h={};i=').wishes[0]

    assert wish.parameters == {
        "a": 1, "b": "010", "c": 1.5, "d": True, "e": "yes", "f": ["x"], "g": "NaN", "h": "{}", "i": "",
    }  # fmt: skip
