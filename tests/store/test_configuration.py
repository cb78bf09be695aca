"""Content by hash, and secrets that never get in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.configuration import HIVES, SECTIONS, canonical, content_hash, redact

KEY = b"k" * 32
CANARY = "CANARY-9f86d081"


def test_the_order_of_keys_does_not_matter_and_everything_else_does() -> None:
    assert content_hash({"a": 1, "b": [1, 2]}) == content_hash({"b": [1, 2], "a": 1})
    assert content_hash({"a": [1, 2]}) != content_hash({"a": [2, 1]})
    assert content_hash({"a": 1}) != content_hash({"a": "1"})
    assert content_hash({"a": True}) != content_hash({"a": 1})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner), max_leaves=8))  # fmt: skip
def test_every_body_has_one_ascii_form_that_is_json(body: Any) -> None:
    form = canonical(body)
    assert form.isascii()
    assert canonical(json.loads(form)) == form


def test_every_hive_is_a_section() -> None:
    assert {f"hive/{name}" for name in HIVES} < set(SECTIONS)
    assert len(HIVES) == 29
    assert len(SECTIONS) == len(set(SECTIONS)) == 38


SECRET_BEARING: list[tuple[str, Any]] = [
    ("hive/secret", {"secret": CANARY}),
    ("org_value", CANARY),
    ("installation_key", {"iid": "i", "key": CANARY, "json_key": CANARY, "tags": "a"}),
    *(
        ("output", {"module": "x", name: CANARY})
        for name in (
            "password", "secret_key", "slack_api_token", "bot_token", "api_key", "humio_api_token",
            "connection_string", "auth_header_value", "webhook_url",
        )
    ),
    ("output", {"module": "webhook", "dest_host": f"https://hooks.example/services/{CANARY}"}),
    ("output", {"module": "syslog", "dest_host": f"tcp://user:{CANARY}@log.example:514"}),
    ("hive/external_adapter", {"s3": {"access_key": "AKIA", "secret_key": CANARY}}),
    ("hive/external_adapter", {"x": {"client_options": {"identity": {"oid": "o", "installation_key": CANARY}}}}),
    ("hive/cloud_sensor", {"okta": [{"apikey": CANARY}, {"accessToken": CANARY}]}),
    ("hive/cloud_sensor", {"pubsub": {"service_account_creds": json.dumps({"private_key": CANARY})}}),
    ("hive/extension_config", {"deep": [[{"Client-Secret": {"value": CANARY}}]]}),
    ("hive/dr-general", {"detect": {}, "respond": [{"action": "extension request", "request": {"api_key": CANARY}}]}),
    ("extension", {"key": CANARY}),
]  # fmt: skip


@pytest.mark.parametrize(("section", "body"), SECRET_BEARING)
def test_a_secret_is_nowhere_in_what_is_stored(section: str, body: Any) -> None:
    stored = canonical(redact(section, body, KEY)).decode()
    assert CANARY not in stored
    assert "hmac-sha256:" in stored


@pytest.mark.parametrize(
    ("section", "body"),
    [
        ("hive/fp", {"op": "is", "path": "cat", "value": "password dump"}),
        ("hive/lookup", {"lookup_data": {"token": {}, "secret": {"x": 1}}}),
        (
            "hive/dr-general",
            {"detect": {"op": "is", "path": "event/PASSWORD", "value": "token"}, "respond": []},
        ),
        ("output", {"module": "syslog", "for": "detect", "dest_host": "log.example:6514", "is_tls": "true"}),
        ("output", {"module": "s3", "secret_key": "", "key_id": "AKIA", "bucket": "b"}),
        ("hive/cloud_sensor", {"okta": {"apikey": "hive://secret/okta", "url": "https://x.okta.example"}}),
        ("installation_key", {"iid": "i", "desc": "d", "tags": "a,b"}),
        ("hive/extension_config", {"max_tokens": 5, "use_secret": True}),
    ],
)
def test_what_is_no_secret_is_kept_as_it_is(section: str, body: Any) -> None:
    assert redact(section, body, KEY) == body


def test_a_digest_shows_only_whether_the_secret_changed() -> None:
    def digest(value: str, key: bytes = KEY) -> Any:
        return redact("output", {"module": "x", "password": value}, key)

    assert digest("a") == digest("a")
    assert digest("a") != digest("b")
    assert digest("a") != digest("a", b"other" * 8)
    assert redact("output", digest("a"), KEY) == digest("a")


def test_the_given_body_is_not_changed_and_a_short_key_is_refused() -> None:
    body = {"module": "webhook", "dest_host": "https://x.example/abcdefghij", "nested": {"token": "t"}}
    before = json.dumps(body)
    redact("output", body, KEY)
    assert json.dumps(body) == before
    with pytest.raises(ValueError, match="16 bytes"):
        redact("output", {}, b"short")
