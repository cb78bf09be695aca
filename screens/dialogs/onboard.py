"""A new customer, or a file of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual.widgets import Input

from screens.dialogs.fill_in import Field, FillIn, Values
from screens.widgets.text import line

LINES: tuple[tuple[str, str, str], ...] = (
    ("file", "file", "a CSV of many customers, instead of the lines below"),
    ("name", "name", "of the organization"),
    ("region", "region", "usa, canada, europe, uk, india, australia; auto unless said"),
    ("node", "node", "of the tree, which it is put below"),
    ("tier", "tier", "such as gold"),
    ("sla", "SLA", "such as critical=15m/4h;high=1h/1d"),
    ("quota", "sensors", "its quota"),
    ("templates", "layers", "templates on its own node, behind those above; a;b"),
    ("parameters", "values", "of its templates, such as siem_host=siem.acme.example"),
    ("groups", "groups", "that hold for it; a;b"),
    ("owners", "owners", "shared accounts of yours"),
    ("users", "users", "such as kim@acme.example:Viewer;ola@acme.example:Basic"),
    ("installation_keys", "keys", "such as windows;linux:server+prod;macos"),
    ("extensions", "extens.", "such as ext-cases;ext-exfil"),
    ("outputs", "outputs", "such as siem syslog detect dest_host=siem.acme.example:6514"),
    ("contacts", "contacts", "such as Dr. Ines Roth|CISO|ines@acme.example|+49 30 5550100"),
)
"""(column of a file, label, what may stand there)."""

Cells = Mapping[str, str]
"""What was filled in, by column."""


class Onboard(FillIn):
    """Answers what was filled in, in the order of LINES, once nothing is wrong with it."""

    AUTO_FOCUS = "#field-1"
    WIDEST = 110
    DEFAULT_CSS = """
    Onboard .dialog-field { margin-top: 0; }
    Onboard #dialog-foot { margin-top: 0; }
    """

    def __init__(
        self,
        cells: Cells,
        *,
        wrong: Callable[[Cells], str],
        doubtful: Callable[[Cells], str],
        trouble: str = "",
    ) -> None:
        """Ask.

        Args:
            cells: what stands there at first, by column: strangers' text.
            wrong, doubtful: as of `FillIn`, of the cells that are filled in.
            trouble: what was wrong with them the last time.
        """
        super().__init__(
            line(
                ("Onboard a customer", "bold"), ("  judged and shown first: nothing is made by this", "dim")
            ),
            [Field(label, cells.get(column, ""), hint) for column, label, hint in LINES],
            does="judge it",
            wrong=lambda values: wrong(filled(values)),
            doubtful=lambda values: doubtful(filled(values)),
        )
        self._trouble = trouble
        self._begins = "#field-0" if "file" in cells else self.AUTO_FOCUS

    def on_mount(self) -> None:
        """The cursor in the file, where there is one."""
        self.query_one(self._begins, Input).focus()


def filled(values: Values) -> dict[str, str]:
    """What was filled in, by column; empty lines are left out."""
    return {column: value for (column, _, _), value in zip(LINES, values, strict=True) if value}
