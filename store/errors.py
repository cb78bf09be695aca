"""What can be wrong with the store, each one sentence for the operator."""


class StoreError(Exception):
    """Something is wrong with the store; the text says what, where, and what to do."""


class StoreUnavailable(StoreError):
    """It cannot be opened, or somebody else holds it."""


class StoreTooNew(StoreError):
    """A newer limegrove wrote it."""


class StoreTooOld(StoreError):
    """`limegrove store upgrade` has to run first."""


class StoreDamaged(StoreError):
    """The file is not whole."""


class StoreRefused(StoreError):
    """A step that could lose something was not confirmed."""


class Mistaken(StoreError):
    """What was asked for names something that is not there, or is nothing that can be: it was mistyped."""
