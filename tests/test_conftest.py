"""What tests stand on: a database that one test changed is not the next one's."""

from typing import Any

import pytest
from sqlalchemy import create_engine, text

pytestmark = pytest.mark.postgres


def _number(kept: Any) -> int:
    """The number of the database: another one when it was made anew."""
    engine = create_engine(kept.url)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
        )
        number: int = found.scalar_one()
    engine.dispose()
    return number


def _left_by(kept: Any, statement: str) -> bool:
    """Whether the database is still the same one after a test that did this."""
    before = _number(kept)
    engine = create_engine(kept.url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    kept.empty()
    return _number(kept) == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE one (id bigint)",
        "DROP TABLE api_key CASCADE",
        "ALTER TABLE organization ADD COLUMN one text",
        "ALTER TABLE organization DROP COLUMN name CASCADE",
        "ALTER TABLE organization RENAME COLUMN name TO one",
        "ALTER TABLE organization ALTER COLUMN name TYPE varchar(80)",
        "ALTER TABLE organization ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE organization ALTER COLUMN name SET DEFAULT 'one'",
        "ALTER TABLE organization ADD CONSTRAINT one CHECK (name <> 'one')",
        "ALTER TABLE organization DISABLE TRIGGER ALL",
        "CREATE INDEX one ON organization (name, oid)",
        "CREATE OR REPLACE FUNCTION limegrove_changed() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$",
    ],
)
def test_a_changed_schema_is_made_anew(postgres_kept: Any, statement: str) -> None:
    assert not _left_by(postgres_kept, statement)


def test_rows_are_only_taken_out(postgres_kept: Any) -> None:
    assert _left_by(
        postgres_kept,
        "INSERT INTO user_account (email, uid, mfa_types, first_seen) VALUES ('a', '', '[]', 0)",
    )
    engine = create_engine(postgres_kept.url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM user_account")).scalar_one() == 0
    engine.dispose()
