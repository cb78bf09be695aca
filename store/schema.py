"""Which schema a store has, told without importing Alembic."""

from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

from store import changes, textindex
from store.errors import StoreTooNew, StoreTooOld, StoreUnavailable

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003")
"""Every schema there has been, oldest first; `store/migrations/versions` has one file for each."""


def is_empty(engine: Engine) -> bool:
    """Whether nothing was ever stored here.

    Raises:
        StoreUnavailable: there are tables, but they are another program's.
    """
    names = set(inspect(engine).get_table_names())
    if "alembic_version" not in names and names:
        raise StoreUnavailable(
            "This database belongs to another program; nothing was changed. Give limegrove one of its own."
        )
    return not names


def create_schema(engine: Engine) -> None:
    """Make the newest schema; the migrations, run one by one, make the same (a test says so)."""
    with engine.begin() as connection:
        SQLModel.metadata.create_all(connection)
        if textindex.TABLE not in inspect(connection).get_table_names():
            textindex.create(connection)
        changes.create(connection)
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL, "
                "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
        )
        if connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 0:
            connection.execute(
                text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": REVISIONS[-1]}
            )


def revision_of(engine: Engine) -> str | None:
    """The schema that the store says it has; None when it says nothing."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(found[0]) if len(found) == 1 else None


def check_schema(engine: Engine) -> None:
    """Raise StoreTooNew or StoreTooOld unless the store has the newest schema."""
    found = revision_of(engine)
    if found is None:
        raise StoreUnavailable(
            "The store does not say which schema it has, so it was not touched; restore a backup with "
            "`limegrove store restore`."
        )
    if found not in REVISIONS:
        raise StoreTooNew(
            f"The store was written by a newer limegrove (schema {found}, this one knows {REVISIONS[-1]}). "
            "Upgrade limegrove; nothing was changed."
        )
    if found != REVISIONS[-1]:
        raise StoreTooOld(
            f"The store has schema {found}. Run `limegrove store upgrade`, which backs up first."
        )
