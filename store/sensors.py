"""What LimaCharlie's codes of platforms and architectures mean."""

PLATFORMS: dict[int, str] = {
    0x10000000: "windows", 0x20000000: "linux", 0x30000000: "macos", 0x40000000: "ios", 0x50000000: "android",
    0x60000000: "chrome", 0x70000000: "vpn", 0x80000000: "text", 0x90000000: "json", 0xA0000000: "gcp",
    0xB0000000: "aws", 0xC0000000: "carbon_black", 0xD0000000: "1password", 0xE0000000: "office365",
    0xF0000000: "sophos", 0x01000000: "crowdstrike", 0x02000000: "xml", 0x03000000: "wel",
    0x04000000: "msdefender", 0x05000000: "duo", 0x06000000: "okta", 0x07000000: "sentinel_one",
    0x08000000: "github", 0x09000000: "slack", 0x0A000000: "cef", 0x0B000000: "lc_event",
    0x0C000000: "azure_ad", 0x0D000000: "azure_monitor", 0x0E000000: "canary_token", 0x0F000000: "guard_duty",
    0x11000000: "itglue", 0x12000000: "k8s_pods", 0x13000000: "zeek", 0x14000000: "mac_unified_logging",
    0x15000000: "azure_event_hub_namespace", 0x16000000: "azure_key_vault",
    0x17000000: "azure_kubernetes_service", 0x18000000: "azure_network_security_group",
    0x19000000: "azure_sql_audit", 0x1A000000: "email", 0x1B000000: "fortigate",
    0x1C000000: "trend_worryfree", 0x1D000000: "netscaler", 0x1E000000: "paloalto_fw", 0x1F000000: "iis",
    0x21000000: "hubspot", 0x22000000: "zendesk", 0x23000000: "pandadoc", 0x24000000: "falconcloud",
    0x25000000: "mimecast", 0x26000000: "sublime", 0x27000000: "box", 0x28000000: "cylance",
    0x29000000: "proofpoint", 0x2A000000: "entraid", 0x2B000000: "wiz", 0x2C000000: "bitwarden",
    0x2D000000: "trend_micro",
}  # fmt: skip
"""Code -> name (`8-reference/id-schema.md` of LimaCharlie's documentation); unknown codes exist."""

ARCHITECTURES: dict[int, str] = {
    1: "x86", 2: "x64", 3: "arm", 4: "arm64", 5: "alpine64", 6: "chromium", 7: "wireguard", 8: "arml",
    9: "adapter",
}  # fmt: skip


def platform_name(code: int) -> str:
    """The name of a platform's code; of an unknown one its hexadecimal digits."""
    return PLATFORMS.get(code) or f"0x{code:08x}"
