"""The keyrings of other desktops (KWallet 5, macOS, Windows), by the `keyring` library."""

from typing import Any, Final

from store.credentials.errors import KeyringLocked, KeyringUnavailable
from store.credentials.gate import load

SERVICE: Final = "limegrove"


class SystemKeyring:
    """One trusted backend of the `keyring` library, by its name in `gate.TRUSTED`."""

    def __init__(self, name: str) -> None:
        """Load it.

        Raises:
            KeyringUnavailable: this machine does not have it.
            UntrustedBackend: it is not what it says.
        """
        self.name = name
        self._keyring = load(name)

    def get(self, account: str) -> str | None:
        """What is kept under `account`, or None.

        Raises:
            KeyringLocked, KeyringUnavailable
        """
        value = self._call("get_password", account)
        return None if value is None else str(value)

    def set(self, account: str, value: str) -> None:
        """Keep `value` under `account`.

        Raises:
            KeyringLocked, KeyringUnavailable
        """
        self._call("set_password", account, value)

    def delete(self, account: str) -> bool:
        """Forget `account`; whether there was something.

        Raises:
            KeyringLocked, KeyringUnavailable
        """
        if self.get(account) is None:
            return False
        self._call("delete_password", account)
        return True

    def _call(self, method: str, *arguments: str) -> Any:
        from keyring import errors

        try:
            return getattr(self._keyring, method)(SERVICE, *arguments)
        except errors.KeyringLocked:
            raise KeyringLocked(
                "The keyring is locked; unlock it, or choose the backend passphrase-file."
            ) from None
        except Exception as error:
            raise KeyringUnavailable(f"The keyring {self.name} failed ({type(error).__name__}).") from None
