"""Small choices that outlive the console: the scope, the last screen, a pane's state."""

from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from store.models import Preference

_PREFERENCE: Table = Preference.__table__  # type: ignore[attr-defined]


def get(connection: Connection, key: str, default: Any = None) -> Any:
    """What was kept under this key, as JSON data."""
    found = connection.execute(select(_PREFERENCE.c.value).where(_PREFERENCE.c.key == key)).one_or_none()
    return default if found is None else found.value


def put(connection: Connection, key: str, value: Any) -> int:
    """Keep JSON data under a key; None forgets it. Answers how many rows changed: 0 or 1."""
    found = connection.execute(select(_PREFERENCE.c.value).where(_PREFERENCE.c.key == key)).one_or_none()
    if value is None:
        if found is not None:
            connection.execute(delete(_PREFERENCE).where(_PREFERENCE.c.key == key))
        return int(found is not None)
    if found is None:
        connection.execute(insert(_PREFERENCE).values(key=key, value=value))
    elif found.value != value:
        connection.execute(update(_PREFERENCE).where(_PREFERENCE.c.key == key).values(value=value))
    else:
        return 0
    return 1
