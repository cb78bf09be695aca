"""The freedesktop Secret Service (gnome-keyring, KeePassXC, KWallet 6), without ever waiting for a prompt.

`keyring` opens a prompt when the collection is locked or missing, which over SSH nobody sees. So the
bus is asked first, with a limit, and a locked collection is an answer and not a dialog.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from store.credentials.errors import CredentialError, KeyringLocked, KeyringUnavailable

if TYPE_CHECKING:
    from secretstorage import Collection

PROBE_LIMIT: Final = 1.0
"""Seconds for the bus to say what there is."""
WORK_LIMIT: Final = 15.0
"""Seconds to read or write one secret; some keyrings ask their owner each time."""
SERVICE: Final = "limegrove"
_APPLICATION: Final = "limegrove"

READY: Final = "ready"
LOCKED: Final = "locked"
ABSENT: Final = "absent"

_Answer = TypeVar("_Answer")


class SecretService:
    """The default collection of the Secret Service on this session's bus."""

    name = "secret-service"

    def state(self) -> tuple[str, str]:
        """(READY, LOCKED or ABSENT, why), within PROBE_LIMIT. Starts nothing and prompts for nothing."""
        try:
            return _within(PROBE_LIMIT, _probe)
        except TimeoutError:
            return ABSENT, f"the session bus did not answer within {PROBE_LIMIT:g} s"

    def get(self, account: str) -> str | None:
        """What is kept under `account`, or None.

        Raises:
            KeyringLocked, KeyringUnavailable
        """

        def read() -> str | None:
            with _collection() as collection:
                for item in collection.search_items(_attributes(account)):
                    if item.is_locked():
                        raise KeyringLocked(_LOCKED)
                    return bytes(item.get_secret()).decode()
                return None

        return self._do(read)

    def set(self, account: str, value: str) -> None:
        """Keep `value` under `account`.

        Raises:
            KeyringLocked, KeyringUnavailable
        """

        def write() -> None:
            with _collection() as collection:
                collection.create_item(
                    f"limegrove: {account}", _attributes(account), value.encode(), replace=True
                )

        self._do(write)

    def delete(self, account: str) -> bool:
        """Forget `account`; whether there was something.

        Raises:
            KeyringLocked, KeyringUnavailable
        """

        def remove() -> bool:
            with _collection() as collection:
                items = list(collection.search_items(_attributes(account)))
                for item in items:
                    item.delete()
                return bool(items)

        return self._do(remove)

    def _do(self, work: Callable[[], _Answer]) -> _Answer:
        state, why = self.state()
        if state == LOCKED:
            raise KeyringLocked(_LOCKED)
        if state == ABSENT:
            raise KeyringUnavailable(f"The keyring cannot be used: {why}.")
        try:
            return _within(WORK_LIMIT, work)
        except TimeoutError:
            raise KeyringUnavailable(
                f"The keyring did not answer within {WORK_LIMIT:g} s; does it wait for you at another screen?"
            ) from None


_LOCKED: Final = (
    "The keyring is locked; unlock it (for gnome-keyring: `gnome-keyring-daemon --unlock`), "
    "or choose the backend passphrase-file."
)


def _attributes(account: str) -> dict[str, str]:
    return {"application": _APPLICATION, "service": SERVICE, "username": account}


def _probe() -> tuple[str, str]:
    try:
        import secretstorage
        from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]  # ships no types
        from jeepney.io.blocking import Proxy  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        return ABSENT, "SecretStorage is not installed"
    try:
        with contextlib.closing(secretstorage.dbus_init()) as connection:
            # An owner only: asking an absent service would start it, and it would be locked anyway.
            if Proxy(message_bus, connection).NameHasOwner("org.freedesktop.secrets")[0] != 1:
                return ABSENT, "no Secret Service runs on the session bus"
            try:
                collection = secretstorage.get_collection_by_alias(connection, "default")
            except secretstorage.ItemNotFoundException:
                return ABSENT, "the Secret Service has no default collection yet"
            if collection.is_locked():
                return LOCKED, "the default collection is locked"
            return READY, "the Secret Service answers and its default collection is unlocked"
    except secretstorage.SecretServiceNotAvailableException as error:
        unset = "DBUS_SESSION_BUS_ADDRESS" in str(error)
        return ABSENT, "there is no session bus" if unset else "the session bus does not answer"
    except Exception as error:  # whatever a foreign daemon answers, it is no keyring for us
        return ABSENT, f"the session bus answered {type(error).__name__}"


@contextmanager
def _collection() -> "Iterator[Collection]":
    import secretstorage

    try:
        with contextlib.closing(secretstorage.dbus_init()) as connection:
            collection = secretstorage.get_collection_by_alias(connection, "default")
            if collection.is_locked():
                raise KeyringLocked(_LOCKED)
            yield collection
    except secretstorage.LockedException:
        raise KeyringLocked(_LOCKED) from None
    except CredentialError:
        raise
    except Exception as error:
        raise KeyringUnavailable(f"The keyring failed ({type(error).__name__}).") from None


def _within(seconds: float, work: Callable[[], _Answer]) -> _Answer:
    """What `work` answers or raises; TimeoutError when it takes longer, and its thread is left behind.

    A thread, because the D-Bus library waits for its greeting without any limit.
    """
    done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name="limegrove-keyring", daemon=True).start()
    try:
        answer, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    result: _Answer = answer
    return result
