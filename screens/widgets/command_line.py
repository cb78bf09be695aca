"""The line at the bottom that takes a command after `:` or a filter after `/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from screens.keys import ASIDE
from store.alerts import SEVERITIES, STATUSES
from store.text import safe_text


@dataclass(frozen=True)
class Command:
    """One word that may follow `:`."""

    name: str
    aliases: tuple[str, ...]
    takes: str
    """organization, node, filter, value, or "" for nothing."""
    says: str


COMMANDS: tuple[Command, ...] = (
    Command("alerts", ("alert", "al"), "filter", "the queue, with a filter: :alerts sev:high org:acme"),
    Command("pivot", ("pv",), "value", "every alert that speaks of a value: :pivot 203.0.113.25"),
    Command("org", ("organization",), "organization", "one organization in the tree: :org Acme Dental"),
    Command("organizations", ("orgs", "tree"), "", "the tree of organizations"),
    Command(
        "access",
        ("acc", "matrix"),
        "organization",
        "who may do what on one organization: :access NAME, or --at 7d",
    ),
    Command(
        "scope", ("sc", "cd"), "node", "limit everything to a node: :scope europe/gold; :scope alone is all"
    ),
    Command("overview", ("ov", "home"), "", "the figures of the scope"),
    Command("activity", ("act", "log"), "", "sync runs, failures, the journal"),
    Command("cases", ("case", "ca"), "", "the cases of the scope"),
    Command("queue", ("qu",), "queue", "a saved queue by its name; what comes later is new in it"),
    Command("queues", (), "", "the saved queues, with what is new in each"),
    Command("handover", ("ho", "shift"), "", "what is handed over to you, and what you hand over"),
    Command("campaign", (), "", "an incident over several customers, of the marked alerts or the storm here"),
    Command("campaigns", (), "", "the incidents over several customers"),
    Command("glass", ("break-glass",), "", "memberships for a while: what goes on, a new one, its end"),
    Command("search", ("lcql",), "", "searches over the past of every organization"),
    *(Command(each.command, each.aliases, "", each.says) for each in ASIDE),
    Command("sync", (), "", "read the cloud again"),
    Command("back", (), "", "the view before"),
    Command("help", ("h",), "", "the keys that work here"),
    Command("quit", ("q", "exit", "qa", "q!"), "", "leave the console, after asking"),
)

FILTER_WORDS: tuple[str, ...] = (
    *(f"sev:{word}" for word in reversed(SEVERITIES)),
    *(f"status:{word}" for word in (*STATUSES, "any")),
    "org:", "host:", "cat:", "rule:", "since:1h", "since:24h", "since:7d",
)  # fmt: skip


class CommandError(ValueError):
    """What was typed is no command; the text says what is."""


def understand(text: str) -> tuple[str, str]:
    """(name, arguments) of what was typed after `:`; ("", "") of nothing. Aliases and unique beginnings do.

    Raises:
        CommandError: no command, or the beginning of several.
    """
    word, _, rest = text.strip().partition(" ")
    if not word:
        return "", ""
    word = word.lower()
    for command in COMMANDS:
        if word == command.name or word in command.aliases:
            return command.name, _nothing_after(command, rest)
    found = [command for command in COMMANDS if command.name.startswith(word)]
    if len(found) == 1:
        return found[0].name, _nothing_after(found[0], rest)
    if found:
        raise CommandError(f":{safe_text(word, 20)} may be {', '.join(':' + one.name for one in found)}.")
    near = get_close_matches(word, [one.name for one in COMMANDS], 2, 0.6)
    meant = f" Did you mean :{' or :'.join(near)}?" if near else " :help lists them, tab completes."
    raise CommandError(f"There is no command :{safe_text(word, 20)}.{meant}")


def _nothing_after(command: Command, rest: str) -> str:
    rest = rest.strip()
    if rest and not command.takes:
        raise CommandError(f":{command.name} takes nothing after it.")
    return rest


def complete(mark: str, text: str, candidates: Callable[[str], Iterable[str]], limit: int = 200) -> list[str]:
    """Whole lines that `text` may become, best first: those that begin with it, then those that contain it.

    Args:
        mark: `:` or `/`.
        candidates: the names of a kind (`organization`, `node`), asked only for a command that takes them.
    """
    if mark == "/":
        return _complete_filter(text)
    word, space, rest = text.lstrip().partition(" ")
    if not space:
        lowered = word.lower()
        return [one.name for one in COMMANDS if one.name.startswith(lowered)] or [
            one.name for one in COMMANDS if any(alias.startswith(lowered) for alias in one.aliases)
        ]
    try:
        name, _ = understand(word)
    except CommandError:
        return []
    takes = next(command.takes for command in COMMANDS if command.name == name)
    if takes == "filter":
        return [f"{word} {line}" for line in _complete_filter(rest)]
    if not takes:
        return []
    wanted = rest.strip().lower()
    names = list(candidates(takes))
    begin = [one for one in names if one.lower().startswith(wanted)]
    inside = [one for one in names if wanted in one.lower() and not one.lower().startswith(wanted)]
    return [f"{word} {one}" for one in (begin + inside)[:limit]]


def _complete_filter(text: str) -> list[str]:
    before, space, last = text.rpartition(" ")
    if not last:
        return []
    return [before + space + word for word in FILTER_WORDS if word.startswith(last.lower()) and word != last]


class CommandLine(Vertical):
    """Hidden until it is opened; says what was typed, and that it closed."""

    DEFAULT_CSS = """
    CommandLine { height: auto; display: none; }
    CommandLine.-open { display: block; }
    CommandLine #command-offers { height: auto; max-height: 2; color: $text-muted; }
    CommandLine Horizontal { height: 1; }
    CommandLine #command-mark { width: 2; text-style: bold; }
    CommandLine Input { width: 1fr; height: 1; border: none; padding: 0; background: transparent; }
    CommandLine Input:focus { border: none; background-tint: transparent; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c,ctrl+g", "close", "cancel", id="line.cancel", tooltip="Close the line"),
        Binding(
            "tab", "complete(1)", "complete", id="line.complete", tooltip="The next completion", priority=True
        ),
        Binding(
            "shift+tab",
            "complete(-1)",
            "previous",
            id="line.previous",
            tooltip="The previous one",
            priority=True,
        ),
        Binding("up,ctrl+p", "older(1)", "older", id="line.older", tooltip="What was typed before"),
        Binding("down,ctrl+n", "older(-1)", "newer", id="line.newer", tooltip="What was typed after"),
    ]

    @dataclass
    class Submitted(Message):
        """Return was pressed."""

        mark: str
        text: str

    class Closed(Message):
        """The line is hidden again: give the keys back to the view."""

    def __init__(self, candidates: Callable[[str], Iterable[str]]) -> None:
        super().__init__(id="command")
        self._candidates = candidates
        self._mark = ":"
        self._history: dict[str, list[str]] = {":": [], "/": []}
        self._at = 0
        self._offers: list[str] = []
        self._chosen = -1
        self._completing = False
        self._hint = ""

    def compose(self) -> ComposeResult:
        """The offers above, mark and input below."""
        yield Static("", id="command-offers", markup=False)
        with Horizontal():
            yield Static(":", id="command-mark", markup=False)
            yield Input(id="command-input", select_on_focus=False, max_length=2000)

    def on_mount(self) -> None:
        """A closed line takes no keys."""
        self.query_one(Input).can_focus = False

    @property
    def is_open(self) -> bool:
        """Whether it has the keys."""
        return self.has_class("-open")

    def open(self, mark: str, text: str = "", *, hint: str = "") -> None:
        """Show the line with `:` or `/` before it, and take the keys; `hint` stands where no offer does."""
        self._hint = hint
        self._mark, self._at, self._chosen, self._offers = mark, 0, -1, []
        self.query_one("#command-mark", Static).update(mark)
        self.add_class("-open")
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)
        line.can_focus = True
        self.screen.set_focus(line)  # now, not after the keys that are already here
        self._offer()

    def action_close(self) -> None:
        """Hide the line, and give the keys back."""
        self.remove_class("-open")
        line = self.query_one(Input)
        line.value = ""
        line.can_focus = False
        self.post_message(self.Closed())

    def candidates_came(self) -> None:
        """Names were read meanwhile: offer them."""
        if self.is_open:
            self._offer()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._completing:
            self._completing = False
            return
        self._chosen = -1
        self._offer()

    def _offer(self) -> None:
        text = self.query_one(Input).value
        self._offers = complete(self._mark, text, self._candidates)
        self._show_offers()

    def _show_offers(self) -> None:
        start = max(0, self._chosen)
        shown: list[str] = []
        room = max(20, self.size.width - 4)
        for number, offer in enumerate(self._offers[start : start + 20], start=start):
            last = offer if self._mark == ":" and " " not in offer else offer.partition(" ")[2] or offer
            text = safe_text(last, 40)
            text = f"[{text}]" if number == self._chosen else text
            if room < len(text) + 2:
                break
            room -= len(text) + 2
            shown.append(text)
        more = len(self._offers) - start - len(shown)
        self.query_one("#command-offers", Static).update(
            "  " + "  ".join(shown) + (f"  +{more}" if more > 0 else "") if shown else self._hint
        )

    def action_complete(self, step: int) -> None:
        """Put the next offer into the line."""
        if not self._offers:
            return
        start = self._chosen if self._chosen >= 0 or step > 0 else 0
        self._chosen = (start + step) % len(self._offers)
        offer = self._offers[self._chosen]
        line = self.query_one(Input)
        if line.value != offer:
            self._completing = True
            line.value = offer
        line.cursor_position = len(offer)
        if len(self._offers) == 1:
            self._chosen = -1
            self._completing = False
            if self._mark == ":" and " " not in offer and _takes(offer):
                line.value = offer + " "
                line.cursor_position = len(line.value)
            return
        self._show_offers()

    def action_older(self, step: int) -> None:
        """Walk through what was typed before."""
        history = self._history[self._mark]
        self._at = min(max(0, self._at + step), len(history))
        line = self.query_one(Input)
        line.value = history[-self._at] if self._at else ""
        line.cursor_position = len(line.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        history = self._history[self._mark]
        if text and (not history or history[-1] != text):
            history.append(text)
            del history[:-100]
        mark = self._mark
        self.action_close()
        self.post_message(self.Submitted(mark, text))

    def on_key(self, event: events.Key) -> None:
        """Backspace in an empty line closes it, as in vim."""
        if event.key == "backspace" and not self.query_one(Input).value:
            event.stop()
            self.action_close()


def _takes(name: str) -> bool:
    return any(command.name == name and command.takes for command in COMMANDS)
