"""What can go wrong with credentials, each one sentence for the operator."""


class CredentialError(Exception):
    """Something is wrong with a credential or where it is kept; the text says what, and what to do."""


class NoCredential(CredentialError):
    """Nothing is stored under this name."""


class KeyringLocked(CredentialError):
    """The keyring is there, but locked."""


class KeyringUnavailable(CredentialError):
    """The keyring cannot be reached, or did not keep what it was given."""


class UntrustedBackend(CredentialError):
    """Something asks for a backend that is not on the list of those that keep a secret secret."""


class WrongPassphrase(CredentialError):
    """The passphrase does not open the file."""


class FileDamaged(CredentialError):
    """A file of credentials is not whole, or not ours alone."""
