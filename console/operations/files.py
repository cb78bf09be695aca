"""Files that are written for people: in one step, for this user alone, where there is a directory for it."""

from pathlib import Path

from store.errors import StoreError


class FileError(StoreError):
    """A file that cannot be read or written; the text says which, and what to do."""


def refuse_nowhere(directory: Path) -> None:
    """Of a path only its last part may be missing: a slip makes no tree of directories.

    Args:
        directory: in which that part lies, or is to lie.

    Raises:
        FileError: it is not there.
    """
    if not directory.exists():
        raise FileError(f"There is no directory {directory}; make it first. Nothing was written.")


def write_private(path: Path, content: bytes) -> None:
    """Write a file in one step (0600); what was there stays when that fails.

    Raises:
        FileError: it cannot be written, or its directory is missing.
    """
    from store.credentials.errors import CredentialError
    from store.credentials.files import write_private as write

    refuse_nowhere(path.parent)
    try:
        write(path, content)
    except CredentialError as error:
        raise FileError(str(error)) from None
