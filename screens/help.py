"""The keys and commands that work on the view beneath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from screens.dialogs.dialog import Modal
from screens.keys import MODES, key_name, press, reason_against, with_keys
from screens.widgets.command_line import COMMANDS

DIGITS = tuple(str(number) for number in range(1, len(MODES) + 1))
THROUGH = frozenset({"app.command", "view.filter"})
"""Bindings of the view beneath that close the help and do what they do; so does a digit."""


class Help(Modal[None]):
    """Every key that works now, gathered from the focused widget up; one that cannot says why."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "close", id="help.close", tooltip="Close"),
        Binding("j,down", "scroll(1)", "down", show=False, id="help.down", tooltip="Down"),
        Binding("k,up", "scroll(-1)", "up", show=False, id="help.up", tooltip="Up"),
        Binding(
            "ctrl+d,space,pagedown",
            "scroll(10)",
            "page down",
            show=False,
            id="help.page",
            tooltip="Page down",
        ),
        Binding("ctrl+u,pageup", "scroll(-10)", "page up", show=False, id="help.page_up", tooltip="Page up"),
    ]

    def __init__(self, beneath: Screen[Any], then: Callable[[str], object] = str) -> None:
        """Show them.

        Args:
            then: told what closed it where that is for the view beneath: of THROUGH, or a digit.
        """
        super().__init__()
        self._then = then
        self._content = describe(beneath)
        self._through = {
            key: active.binding.id
            for key, active in beneath.active_bindings.items()
            if active.binding.id in THROUGH
        }

    def compose(self) -> ComposeResult:
        """One scrolling text, and how it is moved."""
        with VerticalScroll(id="help", can_focus=False):
            yield Static(self._content, markup=False)
        yield Static("j k move   space ctrl+u page   esc close", id="help-keys", markup=False)

    def on_key(self, event: events.Key) -> None:
        """What begins a command, a filter or a view is for the view beneath."""
        if self.small:
            return
        digit = event.character if event.character in DIGITS else None
        if meant := self._through.get(event.key) or digit:
            event.stop()
            event.prevent_default()
            self.dismiss()
            # Now: what is typed next is for what this opens.
            self._then(meant)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def describe(screen: Screen[Any]) -> Content:
    """The keys of a screen as text, its own first."""
    groups: dict[str, dict[str, tuple[list[str], str, str]]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.id or not (binding.tooltip or binding.description):
            continue
        area = binding.id.partition(".")[0]
        title = {
            "app": "Everywhere",
            "move": f"Moving (a number before it repeats: 5{press('move.cursor_down', 'j')})",
            "view": "This view",
        }.get(area, (screen.title or area).capitalize() if area != "line" else "")
        if not title:
            continue
        reason = "" if active.enabled else reason_against(active.node, binding.action.partition("(")[0])
        keys, _, _ = groups.setdefault(title, {}).setdefault(
            binding.id, ([], with_keys(binding.tooltip or binding.description), reason)
        )
        keys.append(key_name(binding.key))
    order = sorted(groups, key=lambda title: (title == "Everywhere", title.startswith("Moving")))
    lines: list[Content] = []
    for title in order:
        lines.append(Content.styled(title, "bold"))
        for keys, says, reason in groups[title].values():
            shown = " ".join(keys)
            note = Content.styled(f"   not now: {reason}", "ansi_yellow") if reason else Content()
            lines.append(Content.assemble("  ", (f"{shown:<16}", "bold"), says, note))
        lines.append(Content())
    lines.append(Content.styled("Views", "bold"))
    lines.append(
        Content("  " + "   ".join(f"{number} {title}" for number, (_, title) in enumerate(MODES, 1)))
    )
    lines.append(Content())
    lines.append(Content.styled("Commands (tab completes)", "bold"))
    for command in COMMANDS:
        also = f" ({', '.join(command.aliases)})" if command.aliases else ""
        lines.append(
            Content.assemble("  ", (f"{':' + command.name:<16}", "bold"), command.says, (also, "dim"))
        )
    return Content("\n").join(lines)
