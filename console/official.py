"""The official client's own files: the credentials in them, and taking those out again.

Source: `limacharlie` 5.10.1 from PyPI, `config.py`, `paths.py` and `jwt_cache.py`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from console.settings import ENVIRONMENT_NAME
from store.credentials import Credential, CredentialError
from store.credentials.files import write_private
from store.secret import Secret

_LIMIT: Final = 1_000_000


class OfficialError(CredentialError):
    """The official client's file cannot be used; the text says why, and nothing was changed."""


@dataclass(frozen=True)
class Found:
    """One environment of the official client's file."""

    original: str
    """Its name there; `default` for what stands at the top."""
    environment: str
    """Its name here; "" when it cannot be taken over."""
    credential: Credential | None
    reason: str = ""
    """Why it cannot be taken over."""


def locate(variables: Mapping[str, str], home: Path) -> tuple[Path, Path]:
    """(the file of credentials, the cache of tokens) that the official client would use.

    Args:
        variables: its LC_CREDS_FILE, LC_CONFIG_DIR and LC_LEGACY_CONFIG, where they were set.
        home: the user's home directory.
    """
    legacy = home / ".limacharlie", home / ".limacharlie_jwt_cache"
    named = variables.get("LC_CREDS_FILE")
    if named:
        return Path(named).absolute(), Path(f"{Path(named).absolute()}_jwt_cache")
    if variables.get("LC_LEGACY_CONFIG") == "1":
        return legacy
    directory = Path(variables.get("LC_CONFIG_DIR") or home / ".limacharlie.d").absolute()
    present = directory / "config.yaml", directory / "jwt_cache.json"
    if "LC_CONFIG_DIR" not in variables and not present[0].exists() and legacy[0].is_file():
        return legacy
    return present


def read(path: Path, endpoint: str | None) -> list[Found]:
    """The environments in a file of the official client's.

    Args:
        path: the YAML file.
        endpoint: where the credentials may be sent; None for LimaCharlie itself.

    Raises:
        OfficialError: there is no such file, or it is not one of the official client's.
    """
    document = _load(path)
    found: list[Found] = []
    if any(document.get(name) for name in ("oid", "uid", "api_key", "oauth")):
        found.append(_found("default", document, endpoint))
    environments = document.get("env") or {}
    if not isinstance(environments, dict):
        raise OfficialError(f"{path}: `env` must hold one mapping for each environment; nothing was changed.")
    taken = {each.environment for each in found}
    for name, values in environments.items():
        each = _found(str(name), values if isinstance(values, dict) else {}, endpoint)
        if each.environment and each.environment in taken:
            each = Found(each.original, "", None, f"its name here, {each.environment}, is taken already")
        taken.add(each.environment)
        found.append(each)
    return found


def forget(path: Path, originals: set[str]) -> int:
    """Take the API keys of these environments out of the file, and overwrite where they stood.

    What else the file holds stays. The file is replaced in one step; its comments do not survive, as
    they do not survive the official client either.

    Returns:
        How many keys were taken out.

    Raises:
        OfficialError, CredentialError: the file cannot be read or written; it is unchanged.
    """
    import yaml

    document = _load(path)
    tables = {"default": document}
    tables |= {str(name): values for name, values in (document.get("env") or {}).items() if name != "default"}
    taken = 0
    for original in originals:
        values = tables.get(original)
        if isinstance(values, dict) and values.pop("api_key", None) is not None:
            taken += 1
    if taken:
        with open(path, "rb+", buffering=0, opener=_without_links) as old:
            write_private(path, yaml.safe_dump(document, default_flow_style=False).encode())
            _overwrite(old.fileno())
    return taken


def forget_tokens(path: Path) -> bool:
    """Overwrite and remove the cache of tokens; whether there was one.

    Raises:
        OfficialError: it cannot be removed.
    """
    try:
        with open(path, "rb+", buffering=0, opener=_without_links) as old:
            path.unlink()
            _overwrite(old.fileno())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OfficialError(f"{path} cannot be removed: {error.strerror}.") from None
    return True


def _found(original: str, values: Mapping[str, Any], endpoint: str | None) -> Found:
    environment = re.sub(r"[^a-z0-9-]+", "-", original.lower()).strip("-")
    if not ENVIRONMENT_NAME.fullmatch(environment):
        return Found(original, "", None, "its name cannot be one of 1 to 32 of a-z, 0-9 and hyphen")
    uid, oid, secret = (str(values.get(name) or "") for name in ("uid", "oid", "api_key"))
    if not secret:
        reason = (
            "it signs in with OAuth; limegrove needs an API key"
            if values.get("oauth")
            else "it has no API key"
        )
        return Found(original, "", None, reason)
    if oid == "-":
        oid = ""
    try:
        credential = Credential(
            kind="user" if uid else "organization", secret=Secret(secret), uid=uid, oid=oid, endpoint=endpoint
        )
    except CredentialError as error:
        return Found(original, "", None, str(error).rstrip("."))
    return Found(original, environment, credential)


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        with open(path, "rb", opener=_without_links) as file:
            content = file.read(_LIMIT + 1)
    except FileNotFoundError:
        raise OfficialError(f"There is no file {path} of the official client's.") from None
    except OSError as error:
        raise OfficialError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > _LIMIT:
        raise OfficialError(f"{path} is larger than 1 MB, which is not the official client's.")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, Loader=loader)):
            raise OfficialError(f"{path} holds YAML aliases, which the official client never writes.")
        document = yaml.load(content, Loader=loader)  # noqa: S506  (the safe loader, in C)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise OfficialError(f"{path}{where} is not YAML; nothing was changed.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise OfficialError(f"{path} does not hold a mapping, as the official client's file does.")
    return document


def _overwrite(descriptor: int) -> None:
    """Zeros where the keys stood, as far as the file system lets one; not where another name still leads."""
    found = os.fstat(descriptor)
    if found.st_nlink:
        return
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, bytes(found.st_size))
    os.fsync(descriptor)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
