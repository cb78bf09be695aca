"""Stores that benchmarks are run on: built once, by bulk load, and kept in the user's cache."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from store.database import Store


def kept(kind: str, of: object, build: Callable[[Path], object]) -> tuple[Path, str]:
    """A store, built if it is not there yet.

    Args:
        kind: how its directory is called.
        of: what it is built of: a store of something else, or of another schema, is not used.
        build: fills a new store at a path.

    Returns:
        Its path, and as text what `build` answered when it was built.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limegrove" / "benchmarks"
    name = hashlib.sha256(f"{of}\n{_schema()}".encode()).hexdigest()[:10]
    home = base / f"{kind}-{name}"
    path, made = home / "default" / "store.db", home / "made"
    os.umask(0o077)  # the console refuses a workspace that others can read
    if not made.exists():
        for left in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            left.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = build(path)
        made.write_text("" if answer is None else str(answer))
    return path, made.read_text()


def _schema() -> str:
    """All of an empty store's tables, indexes and triggers."""
    every = text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(Store(f"sqlite:///{directory}/store.db")) as store,
        store.reader.reading() as connection,
    ):
        return "\n".join(connection.execute(every).scalars())
