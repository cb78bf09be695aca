"""What a competent engineer would ship: a plain Textual application with a DataTable over the same rows.

`python -m benchmarks.bare ROWS [STORE]`: from a store it reads ROWS alerts, worst first, with the
standard library; without one it makes them up.
"""

import sqlite3
import sys

from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import DataTable, Footer, Header

COLUMNS = ("SEV", "AGE", "ORGANIZATION", "RULE", "HOST", "STATE", "WHO")


class Bare(App[None]):
    """One table."""

    BINDINGS = [("q", "quit", "Quit")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        """A header, a table, a footer."""
        yield Header()
        yield DataTable(cursor_type="row", zebra_stripes=False)
        yield Footer()

    def on_mount(self) -> None:
        """Fill the table."""
        table = self.query_one(DataTable)
        table.add_columns(*COLUMNS)
        count = int(sys.argv[1])
        if len(sys.argv) > 2:
            connection = sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True)
            rows = connection.execute(
                "SELECT d.severity, d.time, o.name, d.cat, d.hostname, d.status, d.assignee FROM detection d"
                " JOIN organization o ON o.oid = d.oid WHERE d.status < 2"
                " ORDER BY d.rank DESC, d.time DESC, d.id DESC LIMIT ?",
                (count,),
            ).fetchall()
        else:
            rows = [(4, n, f"Customer {n}", f"BARE-MARKER {n}", f"host-{n}", 0, "") for n in range(count)]
        for row in rows:
            table.add_row(*(Text(str(value)) for value in row))


if __name__ == "__main__":
    Bare().run()
