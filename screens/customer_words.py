"""What is known about a customer, in words for a line. They are strangers': shown as data only."""

from __future__ import annotations

from store.customers import Contact, Customer, duration
from store.queries.customers import Situation
from store.servicehours import week_rows
from store.times import age


def standing_words(customer: Customer, standing: Situation, now: int) -> str:
    """`Sat 03:12 there; closed, opens in 2d; MAINTENANCE Patches, 48m more`; "" when nothing is said."""
    parts = []
    if standing.window and standing.window_until is not None:
        parts.append(f"MAINTENANCE {standing.window}, {age(now, standing.window_until)} more")
    if standing.clock:
        parts.append(f"{standing.clock} there")
    if standing.open is not None and customer.hours == ():
        parts.append("served around the clock")
    elif standing.open is not None:
        left = "" if standing.until is None else age(now, standing.until)
        if standing.open:
            parts.append(f"served, {left} more" if left else "served")
        else:
            parts.append(f"closed, opens in {left}" if left else "closed")
    if standing.holiday:
        parts.append(f"holiday: {standing.holiday}")
    return "; ".join(parts)


def contact_words(contact: Contact) -> str:
    """`Dr. Ines Roth (CISO)  +49 30 5550100  ines@acme.example  phone first`."""
    role = f" ({contact.role})" if contact.role else ""
    return "  ".join(filter(None, (contact.name + role, contact.phone, contact.mail, contact.note)))


def first_contact(customer: Customer) -> str:
    """The first who can be reached, else the first; "" without any."""
    reachable = [each for each in customer.contacts if each.phone or each.mail]
    return next(map(contact_words, reachable or customer.contacts), "")


def escalation_words(customer: Customer) -> str:
    """`0m Dr. Ines Roth > 30m IT on call +49 30 5550199`."""
    return " > ".join(
        " ".join(filter(None, (duration(each.after), each.who, each.how))) for each in customer.escalation
    )


def hours_words(customer: Customer) -> str:
    """`Mon-Fri 08:00-18:00, Europe/Berlin; critical around the clock`; "" when nothing is said."""
    if customer.hours is None:
        return customer.time_zone
    told = "; ".join(f"{days} {hours}" for days, hours in week_rows(customer.hours)) or "around the clock"
    where = f", {customer.time_zone}" if customer.time_zone else ", UTC" if customer.hours else ""
    always = f"; {', '.join(customer.always)} around the clock" if customer.always and customer.hours else ""
    return told + where + always


def holidays_words(customer: Customer) -> str:
    """`DE-BE; closed 2026-12-24 Christmas Eve, 12-31`; "" when none are said."""
    parts = [f"public ones of {customer.country}"] if customer.country else []
    for word, days in (("closed", customer.closed), ("open", customer.opened)):
        if days:
            more = f" and {len(days) - 4} more" if len(days) > 4 else ""
            parts.append(f"{word} {', '.join(each.text for each in days[:4])}{more}")
    return "; ".join(parts)
