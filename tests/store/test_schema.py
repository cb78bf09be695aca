"""The migrations and the tables agree, on both engines."""

from contextlib import closing
from typing import Any

from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from store.database import Store, open_engine
from store.maintenance import _migrate
from store.schema import REVISIONS, revision_of


def _described(engine: Engine) -> dict[str, Any]:
    """Everything that tells one schema from another."""
    found = inspect(engine)
    return {
        table: {
            "columns": [
                (
                    each["name"],
                    str(each["type"]),
                    each["nullable"],
                    each["default"],
                    each.get("autoincrement"),
                )
                for each in found.get_columns(table)
            ],
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "references": [
                (each["constrained_columns"], each["referred_table"], each["referred_columns"])
                for each in found.get_foreign_keys(table)
            ],
            "unique": sorted(each["column_names"] for each in found.get_unique_constraints(table)),
            "indexes": sorted(
                (
                    each["name"],
                    each["column_names"],
                    bool(each["unique"]),
                    sorted((name, str(value)) for name, value in each.get("dialect_options", {}).items()),
                )
                for each in found.get_indexes(table)
            ),
        }
        for table in sorted(found.get_table_names())
    }


def _text_index(engine: Engine) -> dict[str, str]:
    """The tables of the text index, which SQLModel does not know, and how they are made."""
    if engine.dialect.name != "sqlite":
        return {"detection_text": "as described"}
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name LIKE 'detection_text%'"
        ).all()
    made = {name: " ".join(sql.split()) for name, sql in found}
    assert "fts5" in made["detection_text"]
    assert len(made) == 4
    return made


def _triggers(engine: Engine) -> set[tuple[str, str]]:
    """What the database does by itself: name, and the statement or the table that it is for."""
    asked = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        if engine.dialect.name == "sqlite"
        else "SELECT trigger_name, event_manipulation || ' ' || event_object_table || ' ' || action_statement"
        " FROM information_schema.triggers"
    )
    with engine.connect() as connection:
        return {(name, said) for name, said in connection.exec_driver_sql(asked)}


def test_the_migrations_run_one_by_one_make_what_the_tables_say(store_url: str, tmp_path: Any) -> None:
    if store_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    migrated = open_engine(store_url, read_only=False)
    for revision in REVISIONS:
        _migrate(migrated, revision)
    by_migrations = _described(migrated)
    assert revision_of(migrated) == REVISIONS[-1]
    text = _text_index(migrated)
    triggers = _triggers(migrated)
    assert len({name for name, _ in triggers}) >= 10
    with migrated.begin() as connection:
        if migrated.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TABLE detection_text")  # and with it the tables beneath it
        for table in by_migrations.keys() - (text if migrated.dialect.name == "sqlite" else {}):
            connection.exec_driver_sql(
                f'DROP TABLE "{table}"' + (" CASCADE" if migrated.dialect.name == "postgresql" else "")
            )
    migrated.dispose()
    with closing(Store(store_url)) as made:
        by_tables = _described(made.reader._engine)
        assert _text_index(made.reader._engine) == text
        assert _triggers(made.reader._engine) == triggers
    assert by_migrations == by_tables
    assert by_tables.keys() == {*SQLModel.metadata.tables, "alembic_version", *text}
    partial = [name for name, *_, options in by_tables["detection"]["indexes"] if options]
    assert "ix_detection_queue" in partial


def test_a_store_that_was_migrated_opens(store_url: str, tmp_path: Any) -> None:
    if store_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    engine = open_engine(store_url, read_only=False)
    _migrate(engine)
    engine.dispose()
    Store(store_url).close()


def test_every_schema_has_exactly_one_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from store.maintenance import VERSIONS

    config = Config()
    config.set_main_option("script_location", str(VERSIONS[0].parent))
    steps = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(steps)) == REVISIONS


def test_opening_a_store_does_not_import_alembic(tmp_path: Any) -> None:
    import subprocess
    import sys

    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom store.database import Store\nStore(sys.argv[1]).close()\n"
            "print([name for name in sys.modules if name.split('.')[0] in ('alembic', 'yaml', 'psycopg')])",
            f"sqlite:///{tmp_path / 's.db'}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\n"
