"""A false positive rule, edited beside what it would have hidden."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.timer import Timer
from textual.widgets import Input, Static, TextArea

from screens.context import HEALTH_STYLES, Context
from screens.dialogs.dialog import Modal
from screens.widgets.text import content, line
from store.alerts import CLASSIFICATIONS, STATUSES
from store.queries.falsepositives import Effect, Hidden, OrganizationEffect
from store.times import parse_duration

REST = 0.4
"""Seconds without a key after which the rule is tried."""
WIDE = 120
"""Columns from which on the effect stands beside the rule."""
FIRST = 5
"""True positives that are named before the organizations."""

FIELDS: tuple[tuple[str, str, str], ...] = (
    ("name", "name", "of the record"),
    ("file", "into", "the Hive; or a template file"),
    ("expires", "ends", "after 90d, 12h, or never"),
    ("review", "review", "after 30d: looked at again"),
    ("reason", "reason", "why, kept with the rule"),
)
"""(id, label, what stands there while it is empty)"""


@dataclass(frozen=True)
class FalsePositive:
    """A rule as the operator wants it kept."""

    text: str
    """The condition, YAML, as it was tried."""
    name: str
    expires: str
    """A duration such as 90d, or never."""
    review: str
    """A duration."""
    reason: str = ""
    file: str = ""
    """The template file to put it into; "" is the Hive of the alert's organization."""


Progressed = Callable[[int, int], object]
"""Told how many detections of how many were tried; from any thread."""
Previewing = Callable[[str, Progressed], Awaitable[Effect]]
"""What a rule would have hidden. Raises ValueError, with one sentence, where the text is no rule."""


class FpRule(Modal[FalsePositive | None]):
    """Answers the rule that is to be saved; None when the operator went back. It saves nothing itself."""

    AUTO_FOCUS = "#rule"
    DEFAULT_CSS = """
    FpRule { align: left top; background: $background; }
    FpRule > Vertical { width: 100%; height: 100%; }
    FpRule Static { height: auto; width: 1fr; }
    FpRule #halves { height: 1fr; layout: vertical; }
    FpRule.-wide #halves { layout: horizontal; }
    FpRule #rule { height: 9; padding: 0 1; background: $background; }
    FpRule.-wide #rule { height: 100%; width: 1fr; }
    FpRule #effect { height: 1fr; width: 100%; border-top: solid $foreground; padding: 0 1; scrollbar-size-vertical: 1; }
    FpRule #effect:focus { border-top: heavy $foreground; }
    FpRule.-wide #effect { height: 100%; width: 1fr; border-top: none; border-left: solid $foreground; }
    FpRule.-wide #effect:focus { border-left: heavy $foreground; }
    FpRule #fields { height: auto; border-top: solid $foreground; layout: grid; grid-size: 2; grid-rows: 1; }
    FpRule .fp-field { height: 1; layout: horizontal; }
    FpRule #fp-field-reason { column-span: 2; }
    FpRule .fp-label { width: 8; padding: 0 0 0 1; }
    FpRule Input { width: 1fr; background: $background; }
    FpRule #fp-heading, FpRule #fp-keys { padding: 0 1; }
    FpRule #fp-keys { text-style: bold; max-height: 40vh; }
    FpRule.-low #rule { height: 3; }
    FpRule.-low.-wide #rule { height: 100%; }
    FpRule.-low #effect { min-height: 2; }
    FpRule.-low #fp-heading { max-height: 2; }
    """  # noqa: E501
    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority the next field has the focus before the next key is looked at: over a slow link Tab
        # and what is typed behind it come in one piece.
        Binding(
            "tab", "app.focus_next", "next", show=False, priority=True, id="fp.next", tooltip="Next field"
        ),
        Binding(
            "shift+tab",
            "app.focus_previous",
            "previous",
            show=False,
            priority=True,
            id="fp.previous",
            tooltip="Previous field",
        ),
        Binding("ctrl+s", "save", "save", id="fp.save", tooltip="Save it, after one more question"),
        Binding(
            "ctrl+e", "effect", "effect", id="fp.effect", tooltip="Go to what it would have hidden, and back"
        ),
        Binding("escape,ctrl+c", "leave", "leave it", id="fp.leave", tooltip="Leave everything as it is"),
    ]

    def __init__(
        self,
        given: FalsePositive,
        context: Context,
        *,
        title: str,
        organization: str,
        scope: str,
        days: int,
        preview: Previewing,
        trouble: str = "",
    ) -> None:
        """Begin with `given`.

        Args:
            title: what the alert is called; a stranger's text, like `organization`, `scope` and `trouble`.
            scope: where it is tried, in words.
            days: how far back it is tried.
            preview: tries a rule. It is cancelled when another one has to be tried.
            trouble: why it was not saved before.
        """
        super().__init__()
        self._given = given
        self._shared = context
        self._title = title
        self._organization = organization
        self._where = scope
        self._days = days
        self._preview = preview
        self._trouble = trouble
        self._again = bool(trouble)
        self._number = 0
        self._timer: Timer | None = None
        self._tried = ""
        self._effect: Effect | None = None
        self._refused = ""
        self._progress = (0, 0)
        self._warned = False

    # What it looks like

    def compose(self) -> ComposeResult:
        """The rule, what it does, and how it is kept."""
        with Vertical():
            yield Static(self._heading(), id="fp-heading", markup=False)
            with Container(id="halves"):
                yield TextArea(
                    self._given.text,  # ours: YAML that escapes whatever is not printable
                    id="rule",
                    language=None,
                    soft_wrap=True,
                    show_line_numbers=False,
                    tab_behavior="focus",
                    compact=True,
                )
                with VerticalScroll(id="effect"):
                    yield Static("", id="effect-text", markup=False)
            with Container(id="fields"):
                for id_, label, hint in FIELDS:
                    with Container(classes="fp-field", id=f"fp-field-{id_}"):
                        yield Static(label, classes="fp-label", markup=False)
                        yield Input(
                            getattr(self._given, id_),
                            id=f"fp-{id_}",
                            placeholder=hint,
                            compact=True,
                            select_on_focus=False,
                            max_length=400,
                        )
            yield Static(self._keys(), id="fp-keys", markup=False)

    def on_mount(self) -> None:
        """Try it as it stands."""
        self.query_one(TextArea).cursor_blink = False
        self._try()

    def on_resize(self, event: Resize) -> None:
        """Beside each other where there is room."""
        self.set_class(event.size.width >= WIDE, "-wide")

    def _heading(self) -> Content:
        return line(
            Content.styled("FP rule  ", "bold"),
            (self._title, "bold"),
            Content("   of "),
            (self._organization, "bold"),
            Content(f"   tried on {self._days} days of "),
            (self._where, ""),
        )

    def _keys(self) -> Content:
        way = Content("ctrl-s save   tab to the effect and the fields   esc leave it")
        if not self._trouble:
            return way
        return Content("\n").join([content(self._trouble, style="bold ansi_yellow"), way])

    def _say(self, trouble: str) -> None:
        self._trouble = trouble
        self.query_one("#fp-keys", Static).update(self._keys())

    def _show_effect(self) -> None:
        self.query_one("#effect-text", Static).update(self._effect_text())

    def _effect_text(self) -> Content:
        if self._refused:
            return line(("x no rule  ", HEALTH_STYLES["failed"]), (self._refused, "bold"))
        if self._effect is None:
            done, total = self._progress
            far = f" {done:,} of {total:,}" if total else ""
            return Content.styled(f"trying it on what is stored ...{far}", "dim")
        return effect_text(self._effect, self._shared)

    # Trying it

    @on(TextArea.Changed)
    def _edited(self, event: TextArea.Changed) -> None:
        event.stop()
        if event.text_area.text == self._tried:
            return
        self._warned = False
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(REST, self._try)

    def _try(self) -> None:
        self._number += 1
        self._tried = self.query_one(TextArea).text
        self._effect, self._refused, self._progress = None, "", (0, 0)
        self._show_effect()
        self._look(self._number, self._tried)

    @work(exclusive=True, group="fp-preview", exit_on_error=False)
    async def _look(self, number: int, text: str) -> None:
        """Whatever answers late answers to nobody: only the newest text is shown."""

        def progressed(done: int, total: int) -> None:
            self.call_later(self._came, number, done, total)

        effect: Effect | None = None
        refused = ""
        try:
            effect = await self._preview(text, progressed)
        except ValueError as error:
            refused = str(error)
        except Exception as error:
            refused = f"It could not be tried: {error}"
        if number != self._number or not self.is_mounted:
            return
        self._effect, self._refused = effect, refused
        self._show_effect()

    def _came(self, number: int, done: int, total: int) -> None:
        if number == self._number and self._effect is None and not self._refused:
            self._progress = (done, total)
            self._show_effect()

    # Answers

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_next()

    def action_leave(self) -> None:
        """Answer nothing; what was typed is not thrown away by one key."""
        if (self._again or self._wanted() != self._given) and not self._warned:
            self._warned = True
            self._say("It was changed and is not saved: esc again leaves it.")
            return
        self.dismiss(None)

    def action_save(self) -> None:
        """Answer the rule, once it is seen what it does."""
        wanted = self._wanted()
        if wanted.text != self._tried or (self._effect is None and not self._refused):
            self._say("It is still being tried; save it when it says what it would have hidden.")
        elif self._refused:
            self._say("This is no rule yet; the effect says what is wrong.")
        elif not wanted.name:
            self._field("name", "It needs a name.")
        else:
            for id_ in ("expires", "review"):
                text = getattr(wanted, id_)
                try:
                    if not (id_ == "expires" and text == "never"):
                        parse_duration(text)
                except ValueError as error:
                    self._field(id_, f"{dict((f[0], f[1]) for f in FIELDS)[id_]}: {error}")
                    return
            if wanted.reason:
                self.dismiss(wanted)
            else:
                self._field("reason", "It needs a reason: why what it hides may be hidden.")

    def _field(self, id_: str, trouble: str) -> None:
        self._say(trouble)
        self.query_one(f"#fp-{id_}", Input).focus()

    def _wanted(self) -> FalsePositive:
        fields = {id_: self.query_one(f"#fp-{id_}", Input).value.strip() for id_, _, _ in FIELDS}
        return replace(self._given, text=self.query_one(TextArea).text, **fields)


def effect_text(effect: Effect, context: Context) -> Content:
    """What a rule would have hidden, in words: true positives first."""
    totals = effect.totals
    touched = sum(row.hidden > 0 for row in effect.organizations)
    many = len(effect.organizations)
    lines = [
        line(
            Content.styled(f"hides {totals.hidden:,} of {totals.total:,}", "bold"),
            Content(f" in {touched:,} of {many:,} organization{'' if many == 1 else 's'}"),
            Content("" if effect.complete else "   stopped before the end"),
        )
    ]
    if totals.true_positives:
        plural = "" if totals.true_positives == 1 else "S"
        said = f"!! {totals.true_positives:,} TRUE POSITIVE{plural} among them"
        lines.append(Content.styled(said, HEALTH_STYLES["failed"]))
    elif totals.hidden:
        lines.append(Content.styled("o no true positive among them", HEALTH_STYLES["well"]))
    true = [each for each in effect.hidden if each.alert.true_positive]
    lines += [_alert(each, context) for each in true[:FIRST]]
    lines += [line(("! ", HEALTH_STYLES["partly"]), warning) for warning in effect.warnings]
    if many:
        lines.append(Content.styled(f"{'ORGANIZATION':<22} HIDDEN  TRUE    KEPT  NOT EVALUATED", "dim"))
    shown = [row for row in effect.organizations if row.hidden or row.not_evaluated]
    lines += [_organization(row) for row in shown]
    if len(shown) < many:
        lines.append(Content.styled(f"{many - len(shown):,} more, where it hides nothing", "dim"))
    rest = [each for each in effect.hidden if each not in true[:FIRST]]
    if rest:
        lines.append(Content.styled(f"HIDDEN{'' if len(rest) == totals.hidden else ', some of them'}", "dim"))
        lines += [_alert(each, context) for each in rest]
    return Content("\n").join(lines)


def _organization(row: OrganizationEffect) -> Content:
    figures = f" {row.hidden:>6,} {row.true_positives:>5,} {row.kept:>7,} {row.not_evaluated:>8,}"
    style = HEALTH_STYLES["failed"] if row.true_positives else ""
    return line(content(row.organization, 22), Content.styled(figures, style))


def _alert(hidden: Hidden, context: Context) -> Content:
    alert = hidden.alert
    verdict = CLASSIFICATIONS[alert.classification] if alert.classification else STATUSES[alert.status]
    verdict = "benign" if alert.benign else verdict
    style = HEALTH_STYLES["failed"] if alert.true_positive else ""
    return line(
        Content.styled(f"{'!!' if alert.true_positive else '  '} {verdict:<14}", style),
        Content(f" {context.when(alert.time, seconds=False)[5:16]}  "),
        content(hidden.organization, 18),
        Content("  "),
        content(alert.hostname or "-", 16, cut="middle"),
        Content("  absent" if hidden.by_absence else ""),
    )
