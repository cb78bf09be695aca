"""Configuration records by content: the sections, their canonical form, and what is never stored."""

import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

HIVES: tuple[str, ...] = (
    "dr-general", "dr-managed", "dr-service", "dr-mail", "fp", "cloud_sensor", "external_adapter",
    "extension_config", "yara", "lookup", "secret", "query", "playbook", "ai_agent", "ai_skill", "ai_memory",
    "ai_cost_model", "sop", "org_notes", "app", "acl", "app_control_policy", "app_control_rule",
    "cloudsec_provider", "cloudsec_policy", "cloudsec_query", "cloudsec_code_rule", "mailsec_provider",
    "mailsec_policy",
)  # fmt: skip
"""Every hive that the official client 5.10.1 knows (`commands/hive.py`); no endpoint lists them."""

SECTIONS: tuple[str, ...] = (
    *(f"hive/{name}" for name in HIVES),
    "output", "installation_key", "extension", "resource", "org_value", "exfil", "integrity", "artifact",
    "yara",
)  # fmt: skip
"""What `ConfigurationRecord.section` may be."""

NOT_PERMITTED = "Not permitted: "
"""How the reason of a reading begins of which some sections were kept from the credential."""

SECRET_MARK = "$secret"  # noqa: S105  (the key under which a secret's digest stands, not a secret)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a section, as the cloud has it."""

    body: object
    """Plain JSON data; secrets already replaced by `redact`."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """`usr_mtd` of a hive record: enabled, expiry (ms), tags, comment."""
    etag: str = ""
    author: str = ""
    modified: int | None = None
    """Milliseconds, UTC."""


def canonical(body: object) -> bytes:
    """The one form of a body: JSON in ASCII, keys sorted, no spaces.

    Lone surrogates survive as escapes; a number that JSON cannot say (NaN, infinity) becomes its name.

    Raises:
        TypeError: the body is not JSON data.
    """
    try:
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(body), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def content_hash(body: object) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(body)).hexdigest()


def redact(section: str, body: object, key: bytes) -> object:
    """The body as it may be stored: secrets replaced by a digest that only shows whether they changed.

    A record of the secret hive keeps nothing but the digest of its whole data. Where credentials live
    (outputs, extensions, adapters, providers, keys), the value of every field whose name says secret, and
    what is known to be one (an installation key's `key` and `json_key` enroll machines; an org value may be
    another vendor's API key; a web hook's address admits whoever knows it), becomes
    `{"$secret": "hmac-sha256:<hex>"}`. Content that analysts write (rules' detection, lookups, YARA, notes)
    is kept as it is. References to a record of the secret hive (`hive://secret/name`) are no secrets.

    Args:
        section: of SECTIONS.
        body: plain JSON data; it is not changed.
        key: what the digests are keyed with; at least 16 bytes.
    """
    if len(key) < 16:
        raise ValueError("The key under which secrets are digested must have at least 16 bytes.")
    if section == "hive/secret":
        return {} if body in ({}, None) else _digest(body, key)
    if section == "org_value" and not isinstance(body, dict):
        return body if body in ("", None) else _digest(body, key)
    if section in _CONTENT:
        return body
    if section in _RULES and isinstance(body, Mapping):
        return {name: item if name == "detect" else _redact(item, key) for name, item in body.items()}
    if section == "installation_key" and isinstance(body, Mapping):
        return {
            name: _digest(item, key) if name in ("key", "json_key") and item else _redact(item, key)
            for name, item in body.items()
        }
    redacted = _redact(body, key)
    if section == "output" and isinstance(redacted, dict) and redacted.get("module") in _HOOKS:
        address = redacted.get("dest_host")
        if isinstance(address, str) and _CAPABILITY.match(address):
            redacted["dest_host"] = _digest(address, key)
    return redacted


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, wherever it stands."""
    words = _words(name)
    joined = "_".join(words)
    if joined in _NOT_SECRET or not words:
        return False
    if joined in _SECRET_NAMES or _SECRET_WORDS.intersection(words):
        return True
    return any(joined.endswith(end) for end in _SECRET_ENDS)


_SECRET_WORDS = frozenset(
    {
        "password", "passwd", "passphrase", "pwd", "pass", "secret", "secrets", "token", "tokens",
        "credential", "credentials", "creds", "apikey", "jwt", "bearer", "authorization", "cookie", "sas",
        "pem",
    }
)  # fmt: skip
_SECRET_ENDS = (
    "api_key", "secret_key", "access_key", "private_key", "shared_key", "account_key", "auth_key",
    "signing_key", "encryption_key", "ssh_key", "service_account_json", "connection_string",
    "auth_header_value", "webhook_url", "installation_key", "hmac_key", "client_key", "license_key",
    "ingestion_key", "routing_key", "integration_key", "service_account",
)  # fmt: skip
_SECRET_NAMES = frozenset({"auth", "key", "sasl", "userinfo"})
_NOT_SECRET = frozenset(
    {
        "secret_name", "secret_names", "token_url", "token_endpoint", "token_type", "token_expiry",
        "token_count", "max_tokens", "page_token", "continuation_token", "next_page_token", "password_policy",
    }
)  # fmt: skip
_RULES = frozenset({"hive/dr-general", "hive/dr-managed", "hive/dr-service", "hive/dr-mail"})
_CONTENT = frozenset(
    {
        "hive/fp", "hive/yara", "hive/lookup", "hive/query", "hive/ai_skill", "hive/ai_memory", "hive/sop",
        "hive/org_notes", "hive/app", "hive/acl", "hive/app_control_policy", "hive/app_control_rule",
        "hive/cloudsec_policy", "hive/cloudsec_query", "hive/cloudsec_code_rule", "hive/mailsec_policy",
        "hive/playbook", "exfil", "integrity", "artifact", "yara",
    }
)  # fmt: skip
_HOOKS = frozenset({"webhook", "webhook_bulk", "slack", "ms_teams", "tines", "torq"})
_CAPABILITY = re.compile(r"\A(?:https?://)?[^/?#]+[/?#].{7,}", re.IGNORECASE | re.DOTALL)
_LOCATOR = re.compile(r"\A(hive://|\[\[|\{\{)")
_URL_SECRET = re.compile(r"\A([a-z][a-z0-9+.-]*://)([^/@\s]+)@", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^a-z0-9]+", _CAMEL.sub("_", name).lower()) if word)


def _redact(value: object, key: bytes) -> object:
    if isinstance(value, Mapping):
        if set(value) == {SECRET_MARK}:
            return dict(value)
        return {
            name: _digest(item, key)
            if is_secret_name(str(name)) and _worth_hiding(item)
            else _redact(item, key)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redact(item, key) for item in value]
    if isinstance(value, str) and _URL_SECRET.match(value):
        return _digest(value, key)
    return value


def _worth_hiding(item: object) -> bool:
    if item is None or isinstance(item, bool) or item in ("", [], {}):
        return False
    if isinstance(item, Mapping) and set(item) == {SECRET_MARK}:
        return False
    return not (isinstance(item, str) and _LOCATOR.match(item))


def _digest(value: object, key: bytes) -> dict[str, str]:
    return {SECRET_MARK: "hmac-sha256:" + hmac.new(key, canonical(value), hashlib.sha256).hexdigest()}


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def not_permitted(reason: str) -> set[str]:
    """The sections that a reading of the configuration names as closed to the credential."""
    if not reason.startswith(NOT_PERMITTED):
        return set()
    return set(reason.removeprefix(NOT_PERMITTED).rstrip(".").split(", "))
