"""Layers: one order, every record knows where it comes from, and what nobody decided blocks."""

import json
import os
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from store.templates.documents import resolve
from store.templates.effective import Layer, document_key, document_of, effective, key_of
from store.templates.parameters import parameters_of
from tests.helpers.official import OFFICIAL_PYTHON as PYTHON
from tests.helpers.official import needs_official


def layer(name: str, document: object, path: str = "") -> Layer:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return Layer(path or "root", path, name, resolve(f"{name}.yaml", lambda _: text.encode()))


def fp(value: str, *, name: str = "x", ours: dict | None = None) -> dict:
    record = {"data": {"op": "is", "path": "cat", "value": value}, "usr_mtd": {"enabled": True}}
    return {"version": 3, "hives": {"fp": {name: record}}} | ({"limegrove": ours} if ours else {})


KEY = ("hive/fp", "x")


def test_what_two_layers_bring_differently_blocks_and_names_both():
    found = effective([layer("base", fp("a")), layer("gold", fp("b"), "Europe/Gold")], {})
    assert found.records[KEY].record.body["value"] == "a"
    assert found.blocked == (
        "hives/fp/x comes from base (root) and, otherwise, from gold (Europe/Gold, gold.yaml:3); the later one "
        "has to say `override` or `extend`.",
    )


def test_the_same_content_twice_is_no_conflict():
    found = effective([layer("base", fp("a")), layer("gold", fp("a"))], {})
    assert not found.blocked
    assert [origin.layer for origin in found.records[KEY].origins] == ["base"]


def test_an_override_takes_the_place_and_both_origins_are_known():
    found = effective(
        [layer("base", fp("a")), layer("gold", fp("b", ours={"override": ["hives/fp/x"]}), "Gold")], {}
    )
    assert not found.blocked
    assert found.records[KEY].record.body["value"] == "b"
    assert [(each.how, each.layer, each.path) for each in found.records[KEY].origins] == [
        ("brought", "base", ""),
        ("overridden", "gold", "Gold"),
    ]


def test_what_is_switched_off_is_not_wanted_and_who_did_it_is_known():
    text = "version: 3\nlimegrove:\n  off: [hives/fp/x]\n"
    found = effective([layer("base", fp("a")), layer("customer", text, "Acme")], {})
    assert not found.records
    assert not found.blocked
    assert [each.how for each in found.off[KEY]] == ["brought", "switched off"]


def test_an_extension_merges_mappings_unites_lists_and_keeps_the_later_value():
    before = {"version": 3, "outputs": {"siem": {"module": "s3", "for": "event", "more": {"a": 1, "b": [1]}}}}
    after = {
        "version": 3,
        "outputs": {"siem": {"for": "detect", "more": {"b": [1, 2], "c": 3}}},
        "limegrove": {"extend": "outputs/siem"},
    }
    found = effective([layer("base", before), layer("gold", after)], {})
    assert found.records["output", "siem"].record.body == {
        "module": "s3", "for": "detect", "more": {"a": 1, "b": [1, 2], "c": 3},
    }  # fmt: skip


def test_extensions_and_resources_are_united_without_a_word():
    one = {"version": 3, "extensions": ["a"], "resources": {"api": ["vt"]}}
    two = {"version": 3, "extensions": ["a", "b"], "resources": {"api": ["insight"]}}
    found = effective([layer("one", one), layer("two", two)], {})
    assert not found.blocked
    assert document_of(each.record for each in found.records.values()) == {
        "version": 3, "resources": {"api": ["vt", "insight"]}, "extensions": ["a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"overide": []}, "`limegrove` has `overide`; there are parameters, override, extend, off."),
        ({"override": ["fp/x"]}, "`override` names 'fp/x'; a record is named as in hives/fp/NAME, outputs/NAME."),
        ({"parameters": {"Bad": {}}}, "'Bad' is no name of a parameter: small letters, digits and _."),
        ({"parameters": {"a": {"type": "text"}}}, "The parameter a is of the type 'text'; there are string,"),
        ({"parameters": {"a": {"type": "number", "default": "1"}}}, "The default of the parameter a is no number."),
        ({"parameters": {"a": {"type": "choice"}}}, "The parameter a needs `choices`"),
        ({"parameters": {"a": {"required": True, "default": "x"}}}, "The parameter a is required and has a default"),
        ({"parameters": {"oid": {}}}, "oid is what limegrove itself puts in"),
    ],
)  # fmt: skip
def test_words_that_mean_nothing_block(ours, said):
    found = effective([layer("base", {"version": 3, "limegrove": ours})], {})
    assert any(said in each for each in found.blocked), found.blocked


def test_an_override_of_what_is_not_there_is_said_and_blocks_nothing():
    found = effective([layer("base", fp("a", ours={"off": ["outputs/gone"], "extend": ["outputs/no"]}))], {})
    assert not found.blocked
    assert [each.text for each in found.findings] == [
        "`off` names outputs/gone, which no earlier layer brings.",
        "`extend` names outputs/no, which this template does not bring.",
    ]


PARAMETERS = {
    "version": 3,
    "limegrove": {
        "parameters": {
            "host": {"type": "string", "required": True},
            "ports": {"type": "list", "default": [514]},
            "tier": {"type": "choice", "choices": ["gold", "silver"], "default": "silver"},
            "key": {"type": "secret", "default": "siem"},
            "fast": {"type": "boolean", "default": False},
        }
    },
    "outputs": {
        "siem": {"module": "syslog", "for": "detect", "dest_host": "${host}:${ports}", "ports": "${ports}",
                 "tag": "${tier}-${organization}", "secret_key": "${key}", "fast": "${fast}",
                 "said": "is ${fast}", "script": "${env:PATH} ${undeclared}"}
    },
}  # fmt: skip


def test_parameters_are_put_in_with_their_type_and_what_nobody_declared_stays():
    values = {"host": "log.example", "tier": "gold", "organization": "Acme", "oid": "o"}
    found = effective([layer("base", PARAMETERS)], values)
    assert not found.blocked
    assert found.records["output", "siem"].record.body == {
        "module": "syslog", "for": "detect", "dest_host": "log.example:514", "ports": [514],
        "tag": "gold-Acme", "secret_key": "hive://secret/siem", "fast": False, "said": "is false",
        "script": "${env:PATH} ${undeclared}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "The parameter host of base has no value in the tree (base.yaml:"),
        ({"host": 3}, "The parameter host of base is no string (base.yaml:"),
        ({"host": "a", "tier": "bronze"}, "The parameter tier of base is none of gold, silver (base.yaml:"),
        ({"host": "a", "key": "two words"}, "The parameter key of base is not the name of a record of the"),
    ],
)
def test_a_parameter_that_is_missing_or_unfit_blocks_and_is_named(values, said):
    found = effective([layer("base", PARAMETERS)], values)
    assert ("output", "siem") not in found.records
    assert any(each.startswith(said) for each in found.blocked), found.blocked


def test_a_missing_parameter_that_no_record_uses_blocks_nothing():
    document = fp("a", ours={"parameters": {"host": {"type": "string", "required": True}}})
    assert not effective([layer("base", document)], {}).blocked


def test_a_parameter_knows_its_line():
    template = layer("base", PARAMETERS).template
    declared, findings = parameters_of(template)
    assert not findings
    assert declared["host"].place.line == 1 + yaml.safe_dump(PARAMETERS).split("\n").index("    host:")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("hives/dr-general/a/b", ("hive/dr-general", "a/b")),
        ("outputs/siem", ("output", "siem")),
        ("exfil/list/default-linux", ("exfil", "list/default-linux")),
        ("org-value/otx", ("org_value", "otx")),
        ("installation_keys/linux", ("installation_key", "linux")),
    ],
)
def test_a_record_is_named_as_documents_name_it(text, key):
    assert key_of(text) == key
    assert document_key(key) == text


names = st.sampled_from(["a", "b", "c"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"fp": st.dictionaries(names, st.sampled_from(["1", "2"])), "off": st.sets(names)}
        ),
        max_size=4,
    )
)
def test_what_is_effective_is_what_going_through_the_layers_by_hand_gives(layers):
    """Every layer overrides what it brings, and switches off what it says."""
    by_hand: dict[str, str] = {}
    made = []
    for number, each in enumerate(layers):
        for name in each["off"]:
            by_hand.pop(name, None)
        by_hand |= each["fp"]
        document = {
            "version": 3,
            "hives": {
                "fp": {
                    name: {"data": {"value": value}, "usr_mtd": {"enabled": True}}
                    for name, value in each["fp"].items()
                }
            },
            "limegrove": {
                "override": [f"hives/fp/{name}" for name in each["fp"]],
                "off": [f"hives/fp/{name}" for name in sorted(each["off"])],
            },
        }
        made.append(layer(f"t{number}", document))
    found = effective(made, {})
    assert not found.blocked
    assert {name: wanted.record.body["value"] for (_, name), wanted in found.records.items()} == by_hand


OFFICIAL = """
import json, sys
from limacharlie.sdk.configs import Configs
print(json.dumps(Configs(None)._load_effective_config(sys.argv[1])[0]))
"""


@needs_official
def test_the_written_document_is_read_by_the_official_client_as_the_same(tmp_path):
    document = {
        "version": 3,
        "extensions": ["ext-cases"],
        "resources": {"api": ["vt"]},
        "org-value": {"otx": "x"},
        "installation_keys": {"linux": {"desc": "linux", "tags": ["linux"]}},
        "exfil": {"list": {"l": {"events": ["A"]}}, "watch": {"w": {"event": "B"}}},
        "hives": {"fp": {"x": {"data": {"value": "v"}, "usr_mtd": {"enabled": True, "expiry": 0}}}},
        "outputs": {"siem": {"module": "s3"}},
    }
    found = effective([layer("base", document)], {})
    written = document_of(each.record for each in found.records.values())
    path = tmp_path / "main.yaml"
    path.write_text(yaml.safe_dump(written))
    answer = subprocess.run(
        [PYTHON, "-c", OFFICIAL, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert json.loads(answer.stdout) == written == document
