"""The tabs of an organization's detail, one module each.

How to write a tab
------------------
A module with a title, a question to the store and lines, and a line in `TABS`:

    TITLE = "Things"                                  # at most ten letters, shown above the detail

    def read(connection: Connection, oid: str, now: int) -> Found | None:   # in a THREAD
        return ...                                    # None: the store knows no such organization

    def lines(found: Found, context: Context, wide: bool) -> list[Content]:  # on the event loop
        return [field("things", f"{found.count:,}")]  # of `words.field`, data through `widgets.text`

`READS`, where a module has it, names the tables by whose change the detail is read again besides those of
the view. Times need the moment that `read` was given: keep it in what it answers. The pane is 78 cells by
ten lines at 80x24, so what matters most comes first; `wide` says that it stands beside the tree, 54 cells by
the whole height. A line longer than that is wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from screens.organization_tabs import analytics, customer, summary, usage

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from textual.content import Content

    from screens.context import Context


class Tab(Protocol):
    """What a module of a tab has."""

    TITLE: str

    def read(self, connection: Connection, oid: str, now: int) -> Any:
        """What is to be shown of one organization; None when the store does not know it."""
        ...

    def lines(self, found: Any, context: Context, wide: bool) -> list[Content]:
        """What was read, in lines."""
        ...


TABS: tuple[Tab, ...] = (
    summary,
    analytics,
    customer,
    usage,
)  # fmt: skip
"""In the order in which `]` goes through them."""
