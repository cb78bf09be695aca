"""Which credential holds for this run, and how its passphrase is come by."""

import os
import sys
from collections.abc import MutableMapping
from typing import Final

from console.process import take_environment_credentials, workspace
from console.redaction import remember
from console.settings import Settings
from store.credentials import (
    Credential,
    CredentialError,
    Vault,
    read_descriptor,
    read_from_descriptor,
)
from store.secret import Secret

PASSPHRASE_VARIABLE: Final = "LIMEGROVE_PASSPHRASE_FD"  # noqa: S105  (names a descriptor)
CREDENTIALS_VARIABLE: Final = "LIMEGROVE_CREDENTIALS_FD"

_read: dict[str, Credential] = {}
_passphrase: Secret | None = None
_may_prompt = True


def vault(settings: Settings) -> Vault:
    """The stored credentials of this workspace, which is made when the first one is stored.

    Raises:
        WorkspaceError: the workspace is not this user's alone.
    """
    workspace(settings.home, make=False)
    return Vault(settings.home, ask_passphrase, backend=settings.backend)


def credential(settings: Settings) -> Credential:
    """The credential in force, with the endpoint that it may be sent to.

    First what a file descriptor hands over (LIMEGROVE_CREDENTIALS_FD); then, where `--env` names an
    environment that has a stored credential, that one; then LC_UID, LC_OID and LC_API_KEY; then
    what is stored.

    Raises:
        CredentialError: there is none, it cannot be read, or it was stored for another endpoint than
            the one that is set: a key goes only where it was meant to go.
        WorkspaceError: the workspace is not this user's alone.
    """
    found = _handed_over()
    if found is None and not _is_named(settings):
        found = take_environment_credentials()
    if found is None:
        found = _stored(settings)
    elif found.endpoint is None:
        found = _for(found, settings.endpoint)
    remember(found.secret)
    if settings.endpoint is not None and settings.endpoint.rstrip("/") != (found.endpoint or "").rstrip("/"):
        raise CredentialError(
            f"The credential of the environment {settings.environment} is for "
            f"{found.endpoint or 'LimaCharlie itself'} and is not sent to {settings.endpoint}; "
            f"choose another environment with --env, or log in to that endpoint."
        )
    return found


def known(settings: Settings) -> bool:
    """Whether the environment has a credential, handed over or stored; it is not read, nothing is made."""
    if descriptor_from(os.environ, CREDENTIALS_VARIABLE) is not None or "descriptor" in _read:
        return True
    try:
        if take_environment_credentials() is not None:
            return True
    except CredentialError:
        return True  # there is one, though it says something wrong
    if not settings.home.is_dir():
        return False
    stored = Vault(settings.home, ask_passphrase, backend=settings.backend).entries()
    return any(entry.environment == settings.environment for entry in stored)


def prepare(settings: Settings) -> None:
    """Ask for the passphrase now, where the environment's credential will need it, and never later.

    Call before the terminal is given to the screens: after that, whoever asks on it would write over
    them. A keyring is not touched, so this costs nothing where there is one.

    Raises:
        CredentialError: the passphrase is wrong, or there is nobody to ask.
        WorkspaceError: the workspace is not this user's alone.
    """
    global _may_prompt
    try:
        if settings.offline or _handed_over() is not None:
            return
        if not _is_named(settings) and take_environment_credentials() is not None:
            return
        entries = {entry.environment: entry.backend for entry in vault(settings).entries()}
        if entries.get(settings.environment) == "passphrase-file":
            _stored(settings)
    finally:
        _may_prompt = False


def redaction_key(settings: Settings) -> bytes:
    """The 32 bytes under which secrets are replaced before they reach the environment's store.

    Raises:
        As `credential`.
    """
    return credential(settings).key_for_redaction(settings.environment)


def ask_passphrase(new: bool) -> Secret:
    """The passphrase of the passphrase file: from the file descriptor that LIMEGROVE_PASSPHRASE_FD
    names, else typed on the terminal; a new one twice. Asked for once in the life of the process.

    Raises:
        CredentialError: there is nobody to ask, or the two do not match.
    """
    global _passphrase
    if _passphrase is None:
        descriptor = descriptor_from(os.environ, PASSPHRASE_VARIABLE)
        if descriptor is not None:
            text = read_descriptor(descriptor, "passphrase").rstrip("\r\n")
            _passphrase = Secret(text)
        else:
            _passphrase = _typed(new)
        remember(_passphrase)
    return _passphrase


def passphrase_from(descriptor: int) -> None:
    """Take the passphrase from this file descriptor instead (`--passphrase-fd`).

    Raises:
        CredentialError: it cannot be read.
    """
    global _passphrase
    _passphrase = Secret(read_descriptor(descriptor, "passphrase").rstrip("\r\n"))
    remember(_passphrase)


def ask_no_more(passphrase: Secret | None = None) -> None:
    """From now on nobody is asked on the terminal, which belongs to the screens.

    Args:
        passphrase: of the passphrase file, where it is known without asking; a workspace that lasts only as
            long as this process has a random one.
    """
    global _may_prompt, _passphrase
    _may_prompt = False
    if passphrase is not None:
        _passphrase = passphrase
        remember(passphrase)


def ask_secret(question: str) -> Secret:
    """A secret typed on the terminal without showing it.

    Raises:
        CredentialError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise CredentialError(f"{question.rstrip(': ')}: nobody is here to type it; give a file descriptor.")
    import getpass

    try:
        return Secret(getpass.getpass(question))
    except EOFError:
        raise CredentialError("Nothing was typed; nothing was changed.") from None


def descriptor_from(environ: MutableMapping[str, str], variable: str) -> int | None:
    """The file descriptor that a variable names; the variable is removed.

    Raises:
        CredentialError: it is not a number.
    """
    text = environ.pop(variable, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise CredentialError(f"{variable} must be the number of a file descriptor.")
    return int(text)


def _typed(new: bool) -> Secret:
    if not (_may_prompt and sys.stdin.isatty()):
        raise CredentialError(
            "The passphrase file needs its passphrase, and nobody is here to type it; "
            f"name a file descriptor with --passphrase-fd or {PASSPHRASE_VARIABLE}."
        )
    first = ask_secret("New passphrase for the passphrase file: " if new else "Passphrase: ")
    if new and first != ask_secret("The same again: "):
        raise CredentialError("The two passphrases differ; nothing was stored.")
    return first


def _handed_over() -> Credential | None:
    """Read once: a descriptor has nothing more to say the second time."""
    descriptor = descriptor_from(os.environ, CREDENTIALS_VARIABLE)
    if descriptor is not None:
        _read["descriptor"] = read_from_descriptor(descriptor)
    return _read.get("descriptor")


def _is_named(settings: Settings) -> bool:
    if settings.sources.get("environment") != "option":
        return False
    return any(entry.environment == settings.environment for entry in vault(settings).entries())


def _stored(settings: Settings) -> Credential:
    key = f"stored {settings.home} {settings.environment}"
    if key not in _read:
        _read[key] = vault(settings).load(settings.environment)
    return _read[key]


def _for(found: Credential, endpoint: str | None) -> Credential:
    from dataclasses import replace

    return replace(found, endpoint=endpoint)
