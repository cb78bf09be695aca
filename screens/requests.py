"""What the operator asks for. A screen posts one; console carries it out."""

from dataclasses import dataclass, field
from typing import Literal

from textual.message import Message

from store.accesschanges import AccessChange

Keys = Literal["dialog", "either", "here"]
"""What is typed after a request is for the dialog that comes; for that, and where none is needed for the view
that is shown then; for the view at once."""


class Request(Message):
    """Something the operator asked for."""


class Work(Request):
    """One that an operation carries out: `console.requests` has the handler."""

    KEYS: Keys = "dialog"
    """What is typed meanwhile is for whom."""


@dataclass
class OpenPivot(Work):
    """Choose a value of this alert, and show every alert that speaks of it."""

    alert_id: int


@dataclass(frozen=True)
class Group:
    """Every open alert of a fold or a storm that a filter line wants within a scope."""

    fold: int = 0
    """Of `Fold`; 0 when it is a storm."""
    storm: int = 0
    """Of `Storm`; 0 when it is a fold."""
    line: str = ""
    """The filter under which it was seen, and counted."""
    scope: str = ""
    """The tree node under which it was."""


@dataclass(frozen=True)
class Chosen:
    """What a verb acts on."""

    alerts: tuple[int, ...] = ()
    """By their numbers in the store."""
    groups: tuple[Group, ...] = ()
    marked: bool = False
    """These are the marked ones, not what is under the cursor."""


@dataclass
class ClaimAlerts(Work):
    """Make these mine."""

    KEYS = "here"

    chosen: Chosen


@dataclass
class ReleaseAlerts(Work):
    """Make these nobody's."""

    KEYS = "here"

    chosen: Chosen


@dataclass
class AssignAlerts(Work):
    """Ask for a name, and give these to that operator."""

    chosen: Chosen


@dataclass
class AcknowledgeAlerts(Work):
    """Say that somebody looks at these: new becomes in_progress."""

    KEYS = "here"

    chosen: Chosen


@dataclass
class CloseAlerts(Work):
    """Ask what these were, and close them; of many a sample is shown first."""

    chosen: Chosen


@dataclass
class SnoozeAlerts(Work):
    """Ask until when, and hide these until then."""

    chosen: Chosen


@dataclass
class NoteAlerts(Work):
    """Write a note on these, or take them into a case."""

    chosen: Chosen


@dataclass
class UndoDecision(Work):
    """Take back the operator's last decision while it is recent, or the part of it that is chosen here."""

    KEYS = "either"

    part: Chosen | None = None


@dataclass
class RepeatDecision(Work):
    """Do on these what was decided last; what cannot be taken back easily is asked first."""

    KEYS = "either"

    chosen: Chosen


@dataclass
class DraftFalsePositive(Work):
    """Draft a false positive rule from this alert, show what it would have hidden, and save it when asked."""

    alert_id: int


@dataclass
class EditFoldKey(Work):
    """Ask which fields make alerts like this one a fold, and fold the queue anew."""

    alert: int
    """One of them."""


@dataclass
class ShowSensor(Work):
    """Show a machine's card, from which it can be cut off, let back and tagged."""

    oid: str
    sid: str


@dataclass
class ShowSensors(Work):
    """Choose one of an organization's sensors, and show its card."""

    oid: str


@dataclass
class NewSearch(Work):
    """Write a query over the scope, say what it costs, and run it when that is agreed to."""

    query: str = ""
    """Written beforehand."""
    stream: str = "event"
    oid: str = ""
    """Over this organization alone; "" is the scope."""


@dataclass
class EndSearch(Work):
    """End a search that runs, here or in another console."""

    search: int


@dataclass
class CreateCase(Work):
    """Make a case of these alerts: one for each organization; without alerts an empty one, of `oid` or of the
    organization that is chosen."""

    alert_ids: tuple[int, ...] = ()
    oid: str = ""


@dataclass
class ShowCase(Work):
    """Show this case on the screen of cases."""

    KEYS = "either"

    oid: str
    number: int


@dataclass
class ReadCase(Work):
    """Read this case from the cloud again: its notes, its alerts, its history."""

    KEYS = "here"

    oid: str
    number: int


@dataclass
class AddNote(Work):
    """Ask for a note, and add it to this case."""

    oid: str
    number: int
    text: str = ""


@dataclass
class AddEntity(Work):
    """Ask for an indicator, and attach it to this case."""

    oid: str
    number: int


@dataclass
class LogTime(Work):
    """Ask how long was worked on this case, and log it."""

    oid: str
    number: int


@dataclass
class ChangeCases(Work):
    """Do this with these cases: claim, acknowledge, close, reopen, assign, tag."""

    verb: str
    cases: tuple[tuple[str, int], ...]
    """(oid, number) of each."""

    def __post_init__(self) -> None:
        """What only takes a key is done at once, unless it is protected."""
        super().__post_init__()
        if self.verb in ("claim", "acknowledge", "reopen"):
            self.KEYS = "either"


@dataclass
class MergeCases(Work):
    """Merge cases into this one: those given, or those asked for."""

    oid: str
    number: int
    sources: tuple[int, ...] = ()


@dataclass
class DecideEdits(Work):
    """Decide what is undecided about this case: conflicts, and what the cloud refused."""

    oid: str
    number: int


@dataclass
class DraftHandover(Work):
    """Make one's draft of a hand-over anew, from what one holds now; what was typed stays."""

    KEYS = "here"


@dataclass
class WriteItem(Work):
    """Write hypothesis, next step and blocker of an item of one's draft."""

    item: int


@dataclass
class PublishHandover(Work):
    """Offer a draft to whoever comes next, after asking."""

    handover: int


@dataclass
class WithdrawHandover(Work):
    """Take back what one handed over, after asking."""

    handover: int


@dataclass
class AcceptItem(Work):
    """Take an item that was handed over: what belongs to it is mine."""

    KEYS = "either"

    item: int
    version: int
    """As it was seen: somebody else may be faster."""


@dataclass
class BounceItem(Work):
    """Give an item back, with a reason."""

    item: int
    version: int


@dataclass
class ShowQueues(Work):
    """The saved queues with what is new in each; from there they are opened, kept and deleted."""


@dataclass
class OpenQueue(Work):
    """Show a saved queue; from now on what comes to it is new."""

    KEYS = "either"

    name: str


@dataclass
class SaveQueue(Work):
    """Keep a filter line under a name, which is asked for."""

    line: str


@dataclass
class ShowCampaigns(Work):
    """Incidents over several customers: looked at, written on, closed."""


@dataclass
class BeginCampaign(Work):
    """Ask for a title, and make an incident over several customers of these."""

    chosen: Chosen


@dataclass
class StageChanges(Work):
    """Put these changes of access aside for the next plan; what they take back is no longer put aside."""

    KEYS = "here"

    changes: tuple[AccessChange, ...]


@dataclass
class UnstageChanges(Work):
    """Forget these staged changes; None is all of them."""

    KEYS = "here"

    changes: tuple[AccessChange, ...] | None = None


@dataclass
class PlanStaged(Work):
    """Make a plan of what is staged, show it, and apply it when that is approved."""


@dataclass
class PlanChanges(Work):
    """Make a plan of these changes of access, show it, and apply it when that is approved."""

    changes: tuple[AccessChange, ...]
    title: str
    source: str = ""
    """Where they come from, in a word: `finding`, `review`."""


@dataclass
class ShowPlans(Work):
    """The latest plans about access with what became of them; one is taken back by another plan."""


@dataclass
class ShowBreakGlass(Work):
    """The break-glass memberships that go on; a new one is started, or one is ended or extended."""

    principal: str = ""
    """For whom a new one is proposed; "" for nobody."""
    gid: str = ""
    """Into which group; "" for none."""


@dataclass
class StartReview(Work):
    """Ask for a title and what it is about, and begin an access review of the scope."""


@dataclass
class RefreshReview(Work):
    """Compare an access review with the access that the store knows, and write down what differs."""

    KEYS = "here"

    review: int


@dataclass
class DecideLines(Work):
    """Ask why, and attest or revoke these lines of an access review, or take what was decided back."""

    review: int
    lines: tuple[tuple[int, int], ...]
    """(line, its version as it was seen): somebody else may be faster."""
    verdict: int
    """Of `store.reviews`."""
    findings: tuple[tuple[int, str], ...] = field(default=(), compare=False)
    """(line, what is wrong with it) as far as the screen said so; may hold strangers' text."""

    def __post_init__(self) -> None:
        """One decision is taken back without a question."""
        super().__post_init__()
        if self.verdict == 0:
            self.KEYS = "either"


@dataclass
class PlanReview(Work):
    """Make one plan of everything that was revoked, show it, and apply it when that is approved."""

    review: int


@dataclass
class ExportReview(Work):
    """Ask for a directory, and write the signed evidence of an access review there."""

    review: int


@dataclass
class CloseReview(Work):
    """Close an access review, after asking."""

    review: int


@dataclass
class CreateKey(Work):
    """Ask what a new API key may do and from where, make it, and show its secret once."""

    oid: str = ""
    """In this organization; "" asks which."""


@dataclass
class RotateKey(Work):
    """Make this key anew, hand its secret over, and let the old one go a day later."""

    oid: str
    key_hash: str


@dataclass
class RevokeKeys(Work):
    """Say what is lost, and delete these keys when that is agreed to."""

    keys: tuple[tuple[str, str], ...] = ()
    """(oid, hash) of each."""
    line: str = ""
    """Without keys: every one that this filter leaves."""
    scope: str = ""
    """The tree node under which it was seen."""


@dataclass
class ShowTemplates(Work):
    """Show what this organization is to have, and why; "" asks which."""

    oid: str = ""

    def __post_init__(self) -> None:
        """An organization that is named is shown at once."""
        super().__post_init__()
        if self.oid:
            self.KEYS = "either"


@dataclass
class AssignTemplate(Work):
    """Ask for a node of the tree, say who is below it, and put this template on it."""

    name: str


@dataclass
class UnassignTemplate(Work):
    """Take this template off a node, after it was said who is below it."""

    name: str
    nodes: tuple[str, ...]
    """Where it is."""


class DraftRollout(Work):
    """Compare what the templates want with what there is below the scope, and keep it as a plan."""


@dataclass
class ApplyRollout(Work):
    """Say whom a plan changes, and roll it out, or carry on with it, when that is agreed to."""

    plan: int


@dataclass
class PauseRollout(Work):
    """Let a plan that is being rolled out here stop behind the records that are under way."""

    KEYS = "here"

    plan: int


@dataclass
class UndoRollout(Work):
    """Make the plan that takes this one back, all of it or a part, and show it."""

    KEYS = "either"

    plan: int
    wave: int = 0
    """The wave of the cursor; 0 for none."""
    record: str = ""
    """The record of the cursor, as `hives/fp/scanner`; "" for none."""


@dataclass
class WriteReports(Work):
    """Ask in which formats and where, and write reports of a month."""

    kind: str
    """customer, executive or sla."""
    oids: tuple[str, ...]
    """Of customers; () for a report over all of the scope."""
    month: str
    """`2026-10`."""
    scope: str = ""


@dataclass
class DecideDrift(Work):
    """Ask for a reason, and decide about a record that is not as wanted."""

    oid: str
    section: str
    name: str
    decision: Literal["accept", "deny", "exclude", "undo"]
    seen: str
    """What of it was on the screen (`store.drift.Drift.seen`): of another one nothing is decided."""


@dataclass
class ChangeMany(Work):
    """Choose one change, and make it on all these organizations when that is agreed to."""

    oids: tuple[str, ...]
    where: str = ""
    """How they were chosen, in words; may hold strangers' text."""


@dataclass
class OnboardOrganizations(Work):
    """Fill in a new customer, or name a file of them; judge it, show what is made, and make it."""

    node: str = ""
    """Of the tree: what stands there at first."""


@dataclass
class OffboardOrganization(Work):
    """Show what there is of a customer and what is taken, and take it when its name was typed."""

    oid: str


@dataclass
class BeginRun(Work):
    """Say what a run does; begin it, carry on, or try again what failed, when that is agreed to."""

    run: int


@dataclass
class UndoRun(Work):
    """Plan what takes a run back, and show it."""

    run: int


@dataclass
class DropRun(Work):
    """Put a run away that was not begun."""

    KEYS = "either"

    run: int


@dataclass
class ReadInvoices(Work):
    """Say how many are asked for, and read LimaCharlie's invoices of a month below this node."""

    month: str
    scope: str = ""


@dataclass
class ExportStatement(Work):
    """Ask for a file, and write what customers below this node are charged for a month."""

    month: str
    scope: str = ""


@dataclass
class SetScope(Request):
    """Limit everything on screen to this tree node; "" is all organizations."""

    node_id: str


@dataclass
class ShowView(Request):
    """Go to a view by its name: of `screens.keys.MODES`, or of those without a number, `ASIDE`."""

    name: str
    filter: str | None = None
    """What it is to be filtered by; None leaves its filter as it is."""


@dataclass
class ShowAccess(Request):
    """Show the permission matrix: of this organization, or of what else is named in `by`."""

    oid: str = ""
    principal: str = ""
    """E-mail, gid, or hash of a key."""
    kind: Literal["user", "group", "key"] = "user"
    permission: str = ""
    by: Literal["organization", "principal", "permission"] = "organization"
    """What the matrix is about; the cursor goes to the rest of what is named."""
    at: int | None = None
    """As it was at this time (ms); alone it is about what it was about. None for now."""


@dataclass
class ShowOrganization(Request):
    """Show this organization in the tree, with its detail."""

    oid: str


@dataclass
class ShowAlerts(Request):
    """Show the queue, filtered by this line (see `store.alerts.parse_filter`)."""

    filter: str = ""


@dataclass
class Back(Request):
    """Go to the view before this one; never quits."""


@dataclass
class TypeAgain(Request):
    """This key was not for this view, but for the one that was asked for before it."""

    key: str
    character: str | None


@dataclass
class LastView(Request):
    """Go to the mode shown before this one, and back when asked again."""


@dataclass
class SyncNow(Request):
    """Read the cloud again, all organizations of the scope."""


@dataclass
class Remember(Request):
    """Keep a small choice over restarts."""

    key: str
    value: object


@dataclass
class Quit(Request):
    """Leave the console, after asking."""
