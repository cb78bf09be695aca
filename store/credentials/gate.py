"""Which backends keep a secret secret: a list by module and class, and nothing that widens it.

`keyring` picks by priority among all that is installed. Where `keyrings.alt` lies about, that is a
plaintext file; the null backend takes a secret and drops it; a line in `keyringrc.cfg` loads any
module from any directory. So it is never asked to pick.
"""

import configparser
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from store.credentials.errors import KeyringUnavailable, UntrustedBackend

TRUSTED: Final[dict[str, tuple[str, str]]] = {
    "secret-service": ("keyring.backends.SecretService", "Keyring"),
    "kwallet": ("keyring.backends.kwallet", "DBusKeyring"),
    "macos": ("keyring.backends.macOS", "Keyring"),
    "windows": ("keyring.backends.Windows", "WinVaultKeyring"),
}
"""Name of a backend -> the module and the class that it must be, exactly."""

_REMEDY: Final = "remove it, or choose limegrove's own backend passphrase-file"


def refuse_overrides(environ: Mapping[str, str]) -> None:
    """Refuse what would make the `keyring` library load something else than the trusted backends.

    Raises:
        UntrustedBackend: PYTHON_KEYRING_BACKEND, KEYRING_PROPERTY_* or a keyringrc.cfg does; the text
            names it.
    """
    named = environ.get("PYTHON_KEYRING_BACKEND", "")
    if named and not _is_trusted_name(named):
        raise UntrustedBackend(
            f"PYTHON_KEYRING_BACKEND names {named[:100]!a}, which limegrove does not trust; {_REMEDY}."
        )
    for variable in environ:
        if variable.startswith("KEYRING_PROPERTY_"):
            raise UntrustedBackend(
                f"The environment variable {variable[:100]} changes how the keyring works; {_REMEDY}."
            )
    for path in _configuration_files(environ):
        _refuse_configuration(path)


def load(name: str) -> Any:
    """An instance of one trusted backend of the `keyring` library.

    Raises:
        UntrustedBackend: the name is not on the list, or the module does not hold what it should.
        KeyringUnavailable: this machine does not have it.
    """
    import importlib

    if name not in TRUSTED:
        raise UntrustedBackend(f"There is no trusted backend {name[:100]!a}; known are {', '.join(TRUSTED)}.")
    module_name, class_name = TRUSTED[name]
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
        kind.priority  # noqa: B018  (raises when this machine does not have the backend)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise KeyringUnavailable(f"The backend {name} is not available on this machine: {error}.") from None
    return check(kind())


def check(backend: object) -> object:
    """The backend itself, when it is exactly one of the trusted ones.

    A subclass is not: it may do anything with what it is given.

    Raises:
        UntrustedBackend: it is anything else (plaintext, null, fail, a chain).
    """
    kind = type(backend)
    for module_name, class_name in TRUSTED.values():
        module = sys.modules.get(module_name)
        if module is not None and kind is getattr(module, class_name, None):
            return backend
    raise UntrustedBackend(
        f"The keyring backend {kind.__module__}.{kind.__qualname__} is not one that limegrove trusts; "
        f"{_REMEDY}."
    )


def _is_trusted_name(dotted: str) -> bool:
    return any(dotted == f"{module}.{name}" for module, name in TRUSTED.values())


def _configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Where the `keyring` library looks. Source: `keyring.util.platform_`, 25.7."""
    if platform.system() == "Windows":
        roots = [Path(environ.get("LOCALAPPDATA", environ.get("ProgramData", ".")), "Python Keyring")]
    else:
        home = Path(environ.get("HOME") or os.path.expanduser("~"))
        roots = [
            Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "python_keyring"),
            Path(environ.get("XDG_DATA_HOME") or home / ".local/share", "python_keyring"),
        ]
    return [root / "keyringrc.cfg" for root in roots]


def _refuse_configuration(path: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, configparser.Error):
        raise UntrustedBackend(f"{path} cannot be understood; {_REMEDY}.") from None
    for section in parser.sections():
        if parser.has_option(section, "keyring-path"):
            raise UntrustedBackend(
                f"{path} has a keyring-path, which lets any module read the keys; {_REMEDY}."
            )
        chosen = parser.get(section, "default-keyring", fallback="").strip()
        if chosen and not _is_trusted_name(chosen):
            raise UntrustedBackend(
                f"{path} names {chosen[:100]!a}, which limegrove does not trust; {_REMEDY}."
            )
