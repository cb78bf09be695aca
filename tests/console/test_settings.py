import argparse
from pathlib import Path
from typing import Any

import pytest

from console import settings
from console.settings import SettingsError, load


def read(
    tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **options: Any
) -> settings.Settings:
    file = tmp_path / "settings.toml"
    if text:
        file.write_text(text)
    return load(argparse.Namespace(**options), environ or {}, file)


def test_without_anything_everything_is_at_its_default(tmp_path: Path) -> None:
    found = read(tmp_path, environ={"LIMEGROVE_HOME": str(tmp_path)})
    assert found.environment == "default"
    assert found.store_url == f"sqlite:///{tmp_path}/default/store.db"
    assert (found.endpoint, found.proxy, found.ca_file, found.output, found.file) == (None,) * 5
    assert (found.time_zone, found.glyphs, found.backend) == ("UTC", "ascii", "auto")
    assert (found.read_only, found.offline, found.debug) == (False, False, False)
    assert found.sources["home"] == "environment"
    assert {source for name, source in found.sources.items() if name != "home"} == {"default"}


def test_an_option_beats_the_environment_and_that_the_file(tmp_path: Path) -> None:
    text = 'time_zone = "Europe/Berlin"\noutput = "yaml"\nglyphs = "rich"\n'
    environ = {"LIMEGROVE_TIME_ZONE": "Asia/Tokyo", "LIMEGROVE_OUTPUT": "csv"}
    found = read(tmp_path, text, environ, output="json")
    assert (found.glyphs, found.sources["glyphs"]) == ("rich", "file")
    assert (found.time_zone, found.sources["time_zone"]) == ("Asia/Tokyo", "environment")
    assert (found.output, found.sources["output"]) == ("json", "option")


@pytest.mark.parametrize("name", ["read_only", "offline"])
def test_any_source_can_lock_and_none_can_unlock(tmp_path: Path, name: str) -> None:
    variable = f"LIMEGROVE_{name.upper()}"
    assert getattr(read(tmp_path, environ={variable: "1"}, **{name: False}), name) is True
    locked = read(tmp_path, f"{name} = true\n", {variable: "0"}, **{name: False})
    assert (getattr(locked, name), locked.sources[name]) == (True, "file")
    assert getattr(read(tmp_path, f"{name} = false\n", {variable: "0"}, **{name: True}), name) is True
    assert getattr(read(tmp_path, f"{name} = false\n", {variable: "no"}), name) is False


def test_an_environment_can_be_locked_and_cannot_unlock_what_holds_for_all(tmp_path: Path) -> None:
    text = "[environments.prod]\nread_only = true\n[environments.lab]\nread_only = false\n"
    assert read(tmp_path, text, env="prod").read_only is True
    assert read(tmp_path, text, env="lab").read_only is False
    assert read(tmp_path, "read_only = true\n" + text, env="lab").read_only is True


def test_an_environments_own_table_holds_for_it_alone(tmp_path: Path) -> None:
    text = (
        'environment = "prod"\nproxy = "http://proxy.example:3128"\n'
        '[environments.prod]\nstore = "postgresql+psycopg://team@db/prod"\nproxy = "http://other.example:3128"\n'
    )
    prod, lab = read(tmp_path, text), read(tmp_path, text, {"LIMEGROVE_HOME": "/h", "LIMEGROVE_ENV": "lab"})
    assert (prod.store_url, prod.proxy) == ("postgresql+psycopg://team@db/prod", "http://other.example:3128")
    assert (lab.store_url, lab.proxy) == ("sqlite:////h/lab/store.db", "http://proxy.example:3128")
    assert lab.sources["store"] == "default"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("read_only = ]", "is not TOML: .*line 1"),
        ("a = 1\nb = = 2\n", "is not TOML: .*line 2"),
        ("readonly = true", "no setting 'readonly'"),
        ('read_only = "yes"', "read_only must be true or false, not 'yes'"),
        ("read_only = 1", "read_only must be true or false, not 1"),
        ("endpoint = 5", "endpoint must be a text"),
        ('endpoint = "http://example.com"', "plain http, which is for loopback only"),
        ('endpoint = "ftp://127.0.0.1"', "must begin with https"),
        ('endpoint = "https://u:p@example.com"', "must not hold a user"),
        ('proxy = "proxy.example"', "proxy must be a URL"),
        ('time_zone = "Mars/Olympus"', "'Mars/Olympus' is not a time zone"),
        ('time_zone = "../../etc/passwd"', "is not a time zone"),
        ('output = "xml"', "output must be one of table, json"),
        ('backend = "plaintext"', "backend must be one of auto"),
        ('environment = "../prod"', "an environment's name is"),
        ('environment = "Prod"', "an environment's name is"),
        ('[environments."a b"]\nproxy = "http://p"', "an environment's name is"),
        ('[environments.prod]\ntime_zone = "UTC"', "holds for all environments"),
        ("environments = 3", "must be tables"),
        ("[environments]\nprod = 3", "must be a table"),
    ],
)
def test_a_settings_file_that_is_not_understood_is_one_sentence_that_names_it(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "settings.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_settings_file_that_is_not_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_bytes(b"glyphs = '\xff'")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        read(tmp_path)
    (tmp_path / "settings.toml").unlink()
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"LIMEGROVE_READ_ONLY": "maybe"}, "LIMEGROVE_READ_ONLY must be 1 or 0, not 'maybe'"),
        ({"LIMEGROVE_READONLY": "1"}, "did you mean LIMEGROVE_READ_ONLY"),
        ({"LIMEGROVE_OUTPUT": "xml"}, "environment variable LIMEGROVE_OUTPUT: output must be one of"),
        ({"LIMEGROVE_ENV": "a/b"}, "environment variable LIMEGROVE_ENV: an environment's name"),
        ({"LIMEGROVE_ENDPOINT": "http://10.0.0.1"}, "LIMEGROVE_ENDPOINT: endpoint .* plain http"),
    ],
)
def test_a_variable_that_is_not_understood_is_one_sentence_that_names_it(
    tmp_path: Path, environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(tmp_path, environ=environ)


def test_an_empty_variable_and_a_strangers_are_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, environ={"LIMEGROVE_ENDPOINT": "", "LIMEGROVE_SOMETHING_OF_MINE": "x"})
    assert found.endpoint is None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9", "https://x.example"]
)
def test_endpoints_that_a_key_may_go_to(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, environ={"LIMEGROVE_ENDPOINT": url}).endpoint == url


def test_names_that_only_look_like_this_machine_are_strangers(tmp_path: Path) -> None:
    for url in (
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.evil",
        "http://0.0.0.0",
    ):
        with pytest.raises(SettingsError, match="plain http"):
            read(tmp_path, environ={"LIMEGROVE_ENDPOINT": url})


def test_what_is_shown_has_every_setting_and_no_password(tmp_path: Path) -> None:
    environ = {
        "LIMEGROVE_STORE": "postgresql+psycopg://team:hunter2@db/prod?sslpassword=hunter3&x=1",
        "LIMEGROVE_PROXY": "http://me:hunter4@proxy.example:3128",
    }
    found = read(tmp_path, environ=environ)
    shown = {row["name"]: row["value"] for row in found.shown()}
    assert shown["store"] == "postgresql+psycopg://team:***@db/prod?sslpassword=***&x=1"
    assert shown["proxy"] == "http://me:***@proxy.example:3128"
    assert set(shown) == set(found.sources)
    assert "hunter" not in repr(found)
    assert all(set(row) == {"name", "value", "source"} for row in found.shown())


def test_keys_are_read_by_id_however_toml_takes_its_dot(tmp_path: Path) -> None:
    assert read(tmp_path).keys == {}
    text = '[keys]\n"alerts.close" = "d"\nalerts.claim = "f6,k"\napp.help = "f2"\n'
    found = read(tmp_path, text)
    assert found.keys == {"alerts.close": "d", "alerts.claim": "f6,k", "app.help": "f2"}
    assert "keys" not in {row["name"] for row in found.shown()}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('keys = "d"', "keys must be a table"),
        ('[keys]\n"alerts.close" = 5\n', "the keys of 'alerts.close' must be a text such as 'd,f6', not 5"),
        ("[keys]\nalerts.close.now = 5\n", "the keys of 'alerts.close' must be a text"),
        ("[keys]\nalerts = {}\n", "the keys of 'alerts' must be a text"),
        ('[keys]\n"alerts.close" = "d"\nalerts.close = "e"\n', "'alerts.close' is there twice"),
    ],
)
def test_keys_that_are_no_texts_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        read(tmp_path, text)
    assert str(tmp_path / "settings.toml") in str(refused.value)
