"""Named environments, each with one credential, in the best place that this machine has."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from store.credentials.errors import (
    CredentialError,
    FileDamaged,
    KeyringLocked,
    KeyringUnavailable,
    NoCredential,
)
from store.credentials.files import locked, read_private, write_private
from store.credentials.gate import TRUSTED, refuse_overrides
from store.credentials.passphrase_file import Passphrase, PassphraseFile
from store.credentials.records import Credential, decode, encode
from store.credentials.secret_service import LOCKED, READY, SecretService
from store.times import now_ms

BACKENDS: Final = ("secret-service", "kwallet", "macos", "windows", "passphrase-file")
_INDEX_FORMAT: Final = 1


class Backend(Protocol):
    """Something that keeps texts under names, and keeps them secret."""

    name: str

    def get(self, account: str) -> str | None:
        """What is kept under `account`, or None."""

    def set(self, account: str, value: str) -> None:
        """Keep `value` under `account`."""

    def delete(self, account: str) -> bool:
        """Forget `account`; whether there was something."""


@dataclass(frozen=True)
class Entry:
    """What is known of a stored credential without opening where it is kept."""

    environment: str
    kind: str
    uid: str
    oid: str
    endpoint: str | None
    backend: str
    saved_at: int
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class Choice:
    """Where a new credential would be kept, and why there."""

    backend: str
    """One of BACKENDS; "" when there is no place."""
    why: str


class Vault:
    """The credentials of one workspace.

    Nothing is asked of the operator, and no keyring is reached, before it is needed.
    """

    def __init__(
        self,
        home: Path,
        passphrase: Passphrase,
        *,
        backend: str = "auto",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Args:
        home: the workspace; the index of environments and the passphrase file lie in it.
        passphrase: asked when the passphrase file is opened or made.
        backend: one of BACKENDS, or `auto` for the best that this machine has.
        environ: the process's environment unless another is given.
        """
        if backend != "auto" and backend not in BACKENDS:
            raise CredentialError(
                f"There is no backend {backend[:64]!a}; known are auto, {', '.join(BACKENDS)}."
            )
        self.home = home
        self._wanted = backend
        self._environ = os.environ if environ is None else environ
        self._index_file = home / "credentials.json"
        self._file = PassphraseFile(home / "credentials.sealed", passphrase)

    def entries(self) -> list[Entry]:
        """What is stored, by name of environment; no secret is read.

        Raises:
            FileDamaged: the index is not whole, or not ours alone.
        """
        return [entry for _, entry in sorted(self._index().items())]

    def choose(self) -> Choice:
        """Where a new credential would be kept. Never raises for a machine that has no place."""
        try:
            backend, why = self._choose()
        except CredentialError as error:
            return Choice("", str(error))
        return Choice(backend.name, why)

    def load(self, environment: str) -> Credential:
        """The credential of `environment`.

        Raises:
            NoCredential: there is none.
            KeyringLocked, KeyringUnavailable, UntrustedBackend, WrongPassphrase, FileDamaged
        """
        for backend in self._holders(environment):
            text = backend.get(self._account(environment, backend))
            if text is not None:
                return decode(text, environment)
        raise NoCredential(
            f"There is no credential for the environment {environment}; "
            f"run `limegrove auth login --env {environment}`."
        )

    def save(self, environment: str, credential: Credential) -> Entry:
        """Keep the credential of `environment`, replacing the one before.

        The key for redaction of the one before is carried over, so that a rotated key does not make
        every secret look changed.

        Raises:
            KeyringLocked, KeyringUnavailable, UntrustedBackend, WrongPassphrase, FileDamaged
            CredentialError: there is no place for it, or the place did not give back what it got.
        """
        backend, _ = self._choose()
        before = self._before(environment)
        key = credential.redaction_key or (before.redaction_key if before else b"") or secrets.token_bytes(32)
        credential = replace(credential, redaction_key=key)
        account = self._account(environment, backend)
        text = encode(credential)
        self._prove(backend)
        backend.set(account, text)
        if backend.get(account) != text:
            backend.delete(account)
            raise KeyringUnavailable(
                f"The backend {backend.name} did not give back what was stored; nothing is kept."
            )
        entry = Entry(
            environment=environment,
            kind=credential.kind,
            uid=credential.uid,
            oid=credential.oid,
            endpoint=credential.endpoint,
            backend=backend.name,
            saved_at=now_ms(),
        )
        with self._locked():
            index = self._index()
            old = index.get(environment)
            index[environment] = entry
            self._write_index(index)
        if old is not None and old.backend != backend.name:
            self._forget_quietly(old)
        return entry

    def remove(self, environment: str) -> bool:
        """Forget the credential of `environment`; whether there was one.

        Raises:
            KeyringLocked, KeyringUnavailable, FileDamaged: nothing was changed.
        """
        found = False
        for backend in self._holders(environment):
            found = backend.delete(self._account(environment, backend)) or found
        with self._locked():
            index = self._index()
            if index.pop(environment, None) is not None:
                found = True
                self._write_index(index)
        return found

    def redaction_key(self, environment: str) -> bytes:
        """The 32 bytes under which `environment`'s secrets are replaced before they reach the store.

        Raises:
            As `load`.
        """
        return self.load(environment).key_for_redaction(environment)

    def keep(self, name: str, text: str) -> str:
        """Keep a secret that is no environment's credential; answers the backend that has it.

        Args:
            name: one that no environment can have: with a dot in it.

        Raises:
            As `save`.
        """
        backend, _ = self._choose()
        account = self._account(name, backend)
        self._prove(backend)
        backend.set(account, text)
        if backend.get(account) != text:
            backend.delete(account)
            raise KeyringUnavailable(
                f"The backend {backend.name} did not give back what was stored; nothing is kept."
            )
        return backend.name

    def kept(self, name: str, backend: str) -> str | None:
        """What `keep` put into this backend under a name; None when it is not there.

        Raises:
            KeyringLocked, KeyringUnavailable, UntrustedBackend, WrongPassphrase, FileDamaged
        """
        if backend not in BACKENDS:
            raise CredentialError(f"There is no backend {backend[:64]!a}; known are {', '.join(BACKENDS)}.")
        place = self._backend(backend)
        return place.get(self._account(name, place))

    def _choose(self) -> tuple[Backend, str]:
        if self._wanted != "auto":
            return self._backend(self._wanted), "it is set so"
        refuse_overrides(self._environ)
        native = {"darwin": "macos", "win32": "windows"}.get(_platform())
        if native is not None:
            return self._backend(native), "it is this system's keyring"
        service = SecretService()
        state, why = service.state()
        if state == READY:
            return service, why
        if self._file.path.exists():
            return self._file, f"{why}, and there is a passphrase file"
        if state == LOCKED:
            raise KeyringLocked(
                "The keyring is locked; unlock it (for gnome-keyring: `gnome-keyring-daemon --unlock`), "
                "or choose the backend passphrase-file."
            )
        return self._file, why

    def _backend(self, name: str) -> Backend:
        if name == "passphrase-file":
            return self._file
        refuse_overrides(self._environ)
        if name == "secret-service":
            return SecretService()
        from store.credentials.system import SystemKeyring

        return SystemKeyring(name)

    def _holders(self, environment: str) -> list[Backend]:
        """Where the credential of `environment` may be: where the index says, else wherever one can look."""
        if self._wanted != "auto":
            return [self._backend(self._wanted)]
        entry = self._index().get(environment)
        if entry is not None:
            return [self._backend(entry.backend)]
        refuse_overrides(self._environ)
        holders: list[Backend] = []
        service = SecretService()
        if service.state()[0] == READY:
            holders.append(service)
        if environment in self._file.accounts():
            holders.append(self._file)
        return holders

    def _before(self, environment: str) -> Credential | None:
        """The credential that is about to be replaced, when it can still be read."""
        try:
            return self.load(environment)
        except CredentialError:
            return None

    def _forget_quietly(self, entry: Entry) -> None:
        try:
            backend = self._backend(entry.backend)
            backend.delete(self._account(entry.environment, backend))
        except CredentialError:
            return

    def _account(self, environment: str, backend: Backend) -> str:
        """A keyring is shared by all workspaces of its user, the passphrase file lies in its own."""
        return environment if backend is self._file else f"{environment}@{self.home}"

    def _prove(self, backend: Backend) -> None:
        """Write, read and delete something worthless first: some backends keep nothing."""
        account, value = f"self-test-{secrets.token_hex(8)}", secrets.token_hex(16)
        backend.set(account, value)
        kept = backend.get(account) == value
        gone = backend.delete(account) and backend.get(account) is None
        if not (kept and gone):
            raise KeyringUnavailable(
                f"The backend {backend.name} does not keep what it is given; "
                "choose the backend passphrase-file."
            )

    def _locked(self) -> Any:
        return locked(self._index_file.with_name(".credentials.json.lock"))

    def _index(self) -> dict[str, Entry]:
        content = read_private(self._index_file)
        if content is None:
            return {}
        try:
            document: Any = json.loads(content)
            if document["format"] != _INDEX_FORMAT:
                raise ValueError
            index = {
                name: Entry(environment=name, **entry) for name, entry in document["environments"].items()
            }
            if any(entry.backend not in BACKENDS for entry in index.values()):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise FileDamaged(
                f"{self._index_file} is damaged; move it away and run `limegrove auth login` again."
            ) from None
        return index

    def _write_index(self, index: Mapping[str, Entry]) -> None:
        environments = {
            name: {field: value for field, value in vars(entry).items() if field != "environment"}
            for name, entry in sorted(index.items())
        }
        document = {"format": _INDEX_FORMAT, "environments": environments}
        write_private(self._index_file, json.dumps(document, indent=1).encode())


def _platform() -> str:
    import sys

    return sys.platform


def backend_class(name: str) -> str:
    """Which class stands behind a backend's name, for those who check the posture of a machine."""
    if name == "passphrase-file":
        return "store.credentials.passphrase_file.PassphraseFile"
    if name == "secret-service":
        return "store.credentials.secret_service.SecretService"
    return ".".join(TRUSTED[name])
