"""Amounts as whole numbers of a currency's smallest unit, called cents here whatever it is called."""

from fractions import Fraction
from typing import Final


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CURRENCIES: Final = frozenset(
    _codes("""
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
    CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD
    HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD
    LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK
    PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS
    TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
    """)
)
"""Of ISO 4217, those that money is paid in."""

_DIGITS: Final = {
    **dict.fromkeys(_codes("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"), 0),
    **dict.fromkeys(_codes("BHD IQD JOD KWD LYD OMR TND"), 3),
}
"""Digits behind the point where they are not two (ISO 4217)."""

WHOLE: Final = 10_000
"""Basis points of the whole: 1 % is a hundred of them."""


def rounded(amount: Fraction | int) -> int:
    """An exact amount as a whole number of cents: to the nearest, a half away from zero."""
    exact = Fraction(amount)
    doubled, unit = 2 * abs(exact.numerator) + exact.denominator, 2 * exact.denominator
    cents = doubled // unit
    return cents if exact >= 0 else -cents


def digits(currency: str) -> int:
    """How many digits an amount has behind its point: 2, with some currencies 0 or 3."""
    return _DIGITS.get(currency, 2)


def money(cents: int, currency: str) -> str:
    """`1,234.50 EUR`; the digits behind the point are the currency's."""
    whole, part = divmod(abs(cents), 10 ** digits(currency))
    behind = f".{part:0{digits(currency)}d}" if digits(currency) else ""
    return f"{'-' if cents < 0 else ''}{whole:,}{behind} {currency}".rstrip()


def share(basis_points: int, behind: int = 1) -> str:
    """`6.9`, `-0.5`: percent with so many digits behind the point, 0 to 2, a half away from zero."""
    scaled = rounded(Fraction(basis_points, 10 ** (2 - behind)))
    whole, part = divmod(abs(scaled), 10**behind)
    shown = f"{whole}.{part:0{behind}d}" if behind else str(whole)
    return f"{'-' if scaled < 0 else ''}{shown}"


def percent(basis_points: int) -> str:
    """`+15 %`, `-2.5 %`, `+0.01 %`."""
    whole, part = divmod(abs(basis_points), 100)
    shown = f"{whole}.{part:02d}".rstrip("0").rstrip(".")
    return f"{'-' if basis_points < 0 else '+'}{shown} %"
