"""The settings in force, and where each of them comes from.

Lowest first: the default, the settings file, the environment, an option on the command line. Two
settings only ever lock: whatever says `read_only` or `offline` wins, and nothing takes it back.
"""

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

BACKENDS: Final = ("auto", "secret-service", "kwallet", "macos", "windows", "passphrase-file")
"""Where credentials may be kept; `store.credentials` says what each is."""

OUTPUTS: Final = ("table", "json", "jsonl", "yaml", "csv")

ENVIRONMENT_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")

_TEXT: Final = {
    "home", "environment", "store", "endpoint", "proxy", "ca_file", "time_zone", "operator", "key_range",
    "allowed_signers",
}  # fmt: skip
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "output": OUTPUTS,
    "glyphs": ("ascii", "rich"),
    "backend": BACKENDS,
}
_SWITCHES: Final = {"read_only", "offline", "debug"}
_ALL: Final = _TEXT | _CHOICES.keys() | _SWITCHES
_OF_ONE_ENVIRONMENT: Final = {"store", "endpoint", "proxy", "ca_file", "read_only", "key_range"}

VARIABLES: Final = {f"LIMEGROVE_{name.upper()}": name for name in sorted(_ALL - {"environment"})} | {
    "LIMEGROVE_ENV": "environment"
}
"""Which environment variable sets what."""

_OTHER_VARIABLES: Final = frozenset({"LIMEGROVE_PASSPHRASE_FD", "LIMEGROVE_CREDENTIALS_FD"})


class SettingsError(Exception):
    """A setting is not understood; the text names it, says where it stands, and what it may be."""


@dataclass(frozen=True)
class Settings:
    """What holds for this run."""

    home: Path
    """The workspace: stores, logs, crash files, the passphrase file."""
    environment: str
    """The named set of credentials, and with it the store."""
    store_url: str = field(repr=False)
    """A database URL; it may hold a password: show `shown()`."""
    endpoint: str | None = None
    """One base URL in place of all of LimaCharlie's hosts; None for LimaCharlie itself."""
    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    allowed_signers: Path | None = None
    """Who may approve risky rollouts, as OpenSSH has it; the operator must not be able to write it."""
    time_zone: str = "UTC"
    """IANA name; for display only."""
    operator: str = ""
    """The name that alerts and cases are assigned to, an e-mail address as LimaCharlie knows it; "" is the
    name of the system's user."""
    key_range: str = ""
    """From which addresses new API keys are used where the tree says nothing (CIDR); "" has to be asked."""
    read_only: bool = False
    offline: bool = False
    output: str | None = None
    """One of OUTPUTS; None lets the terminal decide (a table; JSON to a pipe)."""
    glyphs: str = "ascii"
    """`ascii` or `rich`."""
    backend: str = "auto"
    """One of BACKENDS."""
    debug: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """Id of a binding -> the keys it has instead of its own, a comma between. Not judged yet: the console
    does that once it has imported the bindings."""
    file: Path | None = None
    """The settings file that was read; None when there is none."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Name of a setting -> `default`, `file`, `environment` or `option`."""

    @property
    def recipes(self) -> Path:
        """The provider's own recipes for API keys; the file need not exist."""
        return self.home / "key-recipes.yaml"

    @property
    def brands(self) -> Path:
        """The directory of the provider's brands for reports; it need not exist."""
        return self.home / "brands"

    @property
    def directory(self) -> Path:
        """Where this environment's own files lie."""
        return self.home / self.environment

    def shown(self) -> list[dict[str, Any]]:
        """Each setting as {name, value, source}, without the passwords in URLs."""
        return [
            {"name": name, "value": _shown(getattr(self, attribute)), "source": self.sources[name]}
            for name, attribute in ((name, _attribute(name)) for name in _ORDER)
        ]


_ORDER: Final = tuple(
    "store" if f.name == "store_url" else f.name
    for f in fields(Settings)
    if f.name not in {"file", "sources", "keys"}
)


def settings_file() -> Path:
    """Where the settings file is looked for; it need not exist."""
    from platformdirs import user_config_path

    return user_config_path("limegrove") / "settings.toml"


def load(
    arguments: argparse.Namespace | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings in force.

    Args:
        arguments: what the command line was given; of its attributes, those named as settings are
            read (`env` for the environment), and None or False stands for not given.
        environ: the process's environment unless another is given.
        file: a settings file in place of the user's.

    Raises:
        SettingsError: the file is malformed or cannot be read, or a setting is unknown or not
            understood.
    """
    environ = os.environ if environ is None else environ
    path = file if file is not None else settings_file()
    from_file, from_file_by_environment, keys = _read(path)
    from_environ = _from_environ(environ)
    given = _from_arguments(arguments)

    values: dict[str, Any] = {}
    sources = dict.fromkeys(_ORDER, "default")

    def take(layer: Mapping[str, Any], source: str) -> None:
        for name, value in layer.items():
            if name in {"read_only", "offline"} and not value:
                continue
            values[name] = value
            sources[name] = source

    take(from_file, "file")
    chosen = given.get("environment") or from_environ.get("environment") or values.get("environment")
    environment = chosen or "default"
    take(from_file_by_environment.get(environment, {}), "file")
    take(from_environ, "environment")
    take(given, "option")

    home = _home(values.pop("home", None))
    return Settings(
        home=home,
        environment=environment,
        store_url=values.pop("store", None) or f"sqlite:///{home / environment / 'store.db'}",
        ca_file=Path(ca).expanduser() if (ca := values.pop("ca_file", None)) else None,
        allowed_signers=Path(signers).expanduser()
        if (signers := values.pop("allowed_signers", None))
        else None,
        keys=keys,
        file=path if path.exists() else None,
        sources=sources,
        **{name: value for name, value in values.items() if name != "environment"},
    )


def _home(value: str | None) -> Path:
    if value is not None:
        return Path(os.path.abspath(os.path.expanduser(value)))
    from platformdirs import user_data_path

    return user_data_path("limegrove")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, str]]:
    """What holds for all environments, what for each, and which bindings have which keys."""
    import tomllib

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, {}, {}
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise SettingsError(f"The settings file {path} is not UTF-8 (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from error
    tables = document.pop("environments", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: environments must be tables, as in [environments.prod].")
    where = str(path)
    keys = _bindings(document.pop("keys", {}), where)
    settings = {name: _value(name, value, where, _ALL) for name, value in document.items()}
    by_environment: dict[str, dict[str, Any]] = {}
    for environment, table in tables.items():
        _environment_name(environment, where)
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: environments.{environment} must be a table.")
        by_environment[environment] = {
            name: _value(name, value, f"{path}, [environments.{environment}]", _OF_ONE_ENVIRONMENT)
            for name, value in table.items()
        }
    return settings, by_environment, keys


def _bindings(table: Any, where: str) -> dict[str, str]:
    """Id -> keys, of `"alerts.close" = "d"` and of `alerts.close = "d"`, which TOML reads as a table."""
    if not isinstance(table, dict):
        raise SettingsError(f'{where}: keys must be a table: [keys], and below it alerts.close = "d".')
    found: dict[str, str] = {}
    for name, value in table.items():
        below = value if isinstance(value, dict) else {}
        pairs = {f"{name}.{verb}": keys for verb, keys in below.items()} or {name: value}
        for binding, keys in pairs.items():
            if not isinstance(keys, str):
                raise SettingsError(
                    f"{where}, [keys]: the keys of {binding!a} must be a text such as 'd,f6', not {keys!a}."
                )
            if binding in found:
                raise SettingsError(f"{where}, [keys]: {binding!a} is there twice; leave one of them.")
            found[binding] = keys
    return found


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith("LIMEGROVE_"):
            continue
        name = VARIABLES.get(variable)
        if name is None:
            _refuse_a_typo(variable)
        elif text:
            value = _switch(text, variable) if name in _SWITCHES else text
            found[name] = _value(name, value, f"the environment variable {variable}", _ALL)
    return found


def _refuse_a_typo(variable: str) -> None:
    """LIMEGROVE_READONLY=1 must not be taken for nothing by somebody who relies on it."""
    if variable in _OTHER_VARIABLES:
        return
    import difflib

    near = difflib.get_close_matches(variable, VARIABLES, 1, 0.9)
    if near:
        raise SettingsError(f"The environment variable {variable} means nothing; did you mean {near[0]}?")


def _switch(text: str, variable: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise SettingsError(f"The environment variable {variable} must be 1 or 0, not {text!a}.")


def _from_arguments(arguments: argparse.Namespace | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in _ALL:
        value = getattr(arguments, "env" if name == "environment" else name, None)
        if value is None or value is False:
            continue
        option = "--env" if name == "environment" else f"--{name.replace('_', '-')}"
        given[name] = _value(name, str(value) if isinstance(value, Path) else value, option, _ALL)
    return given


def _value(name: str, value: Any, where: str, known: set[str]) -> Any:
    if name not in known:
        also = "it holds for all environments" if name in _ALL else f"known are {', '.join(sorted(known))}"
        raise SettingsError(f"{where}: there is no setting {name!a} here; {also}.")
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise SettingsError(f"{where}: {name} must be true or false, not {value!a}.")
        return value
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{where}: {name} must be a text, not {value!a}.")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise SettingsError(f"{where}: {name} must be one of {', '.join(_CHOICES[name])}, not {value!a}.")
    check = _CHECKS.get(name)
    if check is not None:
        check(value, where)
    return value


def _environment_name(value: str, where: str) -> None:
    if not ENVIRONMENT_NAME.fullmatch(value):
        raise SettingsError(
            f"{where}: an environment's name is 1 to 32 of a-z, 0-9 and hyphen, not {value[:64]!a}."
        )


def _endpoint(value: str, where: str) -> None:
    from store.endpoints import EndpointError, check_endpoint

    try:
        check_endpoint(value)
    except EndpointError as error:
        raise SettingsError(f"{where}: {error}") from None


def _proxy(value: str, where: str) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(f"{where}: proxy must be a URL such as http://proxy.example:3128.")


def _time_zone(value: str, where: str) -> None:
    if value == "UTC":
        return
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"{where}: {value!a} is not a time zone known here; an example is Europe/Berlin."
        ) from None


def _key_range(value: str, where: str) -> None:
    from store.keyrecipes import KeyProblem, check_range

    try:
        check_range(value)
    except KeyProblem as error:
        raise SettingsError(f"{where}: {error}") from None


_CHECKS: Final = {
    "environment": _environment_name,
    "key_range": _key_range,
    "endpoint": _endpoint,
    "proxy": _proxy,
    "time_zone": _time_zone,
}


def _attribute(name: str) -> str:
    return "store_url" if name == "store" else name


def _shown(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and "://" in value:
        return without_password(value)
    return value


def without_password(url: str) -> str:
    """The URL with its password, and every parameter of its query that could be one, replaced by `***`."""
    url = re.sub(r"(?i)([?&](?:password|sslpassword|passfile|token|secret)=)[^&#]*", r"\1***", url)
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url)
