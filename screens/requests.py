"""What the operator asks for. A screen posts one; console carries it out."""

from dataclasses import dataclass

from textual.message import Message


class Request(Message):
    """Something the operator asked for."""


class Work(Request):
    """One that an operation carries out: `console.requests` has the handler."""


@dataclass
class SetScope(Request):
    """Limit everything on screen to this tree node; "" is all organizations."""

    node_id: str


@dataclass
class ShowView(Request):
    """Go to a mode: overview, organizations, alerts, access, activity."""

    name: str


@dataclass
class ShowAccess(Request):
    """Show the permission matrix of this organization."""

    oid: str


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
