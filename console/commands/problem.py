"""The one exception by which a command says that it could not."""


class Problem(Exception):
    """What the operator is told before a non-zero exit: one sentence that says what, where, and what to do.

    Exit codes: 1 failed, 2 usage, 3 partly done, 4 plan has changes, 5 refused.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
