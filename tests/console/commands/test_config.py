"""`limegrove config`."""

import csv
import io
import json
from pathlib import Path

from tests.helpers.sandboxes import environment, limegrove


def test_each_setting_says_its_value_and_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / ".config/limegrove/settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text('time_zone = "Europe/Berlin"\nread_only = true\n')
    store = "postgresql+psycopg://team:hunter2@db/prod"
    ran = limegrove(
        "config",
        "show",
        "--env",
        "lab",
        env=environment(tmp_path, LIMEGROVE_STORE=store, LIMEGROVE_READ_ONLY="0"),
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    found = {row["name"]: (row["value"], row["source"]) for row in json.loads(ran.stdout)}
    assert found["time_zone"] == ("Europe/Berlin", "file")
    assert found["read_only"] == (True, "file")
    assert found["environment"] == ("lab", "option")
    assert found["store"] == ("postgresql+psycopg://team:***@db/prod", "environment")
    assert found["glyphs"] == ("ascii", "default")
    assert "hunter2" not in ran.stdout


def test_every_output_holds_the_same_settings(tmp_path: Path) -> None:
    env = environment(tmp_path)
    names = [row["name"] for row in json.loads(limegrove("config", "show", env=env).stdout)]
    assert "home" in names
    table = limegrove("config", "show", "--output", "table", env=env)
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == names
    assert "settings file:" in table.stderr
    rows = list(csv.DictReader(io.StringIO(limegrove("config", "show", "--output", "csv", env=env).stdout)))
    assert [row["name"] for row in rows] == names


def test_a_malformed_settings_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / ".config/limegrove/settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text("glyphs = 'rich'\nreadonly = true\n")
    ran = limegrove("config", "show", env=environment(tmp_path))
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert f"{file}: there is no setting 'readonly'" in ran.stderr


def put_settings(home: Path, text: str) -> Path:
    file = home / ".config/limegrove/settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_every_binding_is_listed_with_the_keys_it_has_and_its_own(tmp_path: Path) -> None:
    put_settings(tmp_path, '[keys]\nalerts.close = "d,f6"\nmove.cursor_down = "f4,down"\n')
    ran = limegrove("config", "keys", env=environment(tmp_path))
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = json.loads(ran.stdout)
    assert {row["view"] for row in rows} >= {"everywhere", "alerts", "access", "lists", "dialog Confirm"}
    assert next(row for row in rows if row["id"] == "alerts.close") == {
        "view": "alerts",
        "id": "alerts.close",
        "keys": "d,f6",
        "default": "x",
        "does": "Close it: what it was and why; of many a sample first",
        "fixed": False,
    }
    down = next(row for row in rows if row["id"] == "move.cursor_down")
    assert (down["keys"], down["default"], down["does"]) == ("f4,down", "j,down", "Down; 5f4 five lines")
    assert next(row for row in rows if row["id"] == "confirm.yes")["fixed"] is True


def test_keys_that_cannot_be_fail_in_one_sentence_after_the_list_that_helps(tmp_path: Path) -> None:
    file = put_settings(tmp_path, '[keys]\nalerts.clse = "d"\n')
    ran = limegrove("config", "keys", env=environment(tmp_path))
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert f"{file}, [keys]: there is no binding 'alerts.clse', did you mean 'alerts.close'?" in ran.stderr
    assert "alerts.close" in {row["id"] for row in json.loads(ran.stdout)}
