"""Every table, one module a subject. Importing this package registers them all.

Times are integers: milliseconds since 1970 in UTC, unless a name says otherwise.
"""

from store.models.access import (
    AccessFormer,
    ApiKey,
    DirectPermission,
    Group,
    GroupMember,
    GroupOrganization,
    User,
)
from store.models.accessevents import AccessEvent, AccessFile, GroupRole
from store.models.accessplans import AccessPlan, AccessStep, StagedChange
from store.models.activity import Journal, OrganizationChange, Preference, SyncRun, SyncState
from store.models.billing import PriceBook, QuotaReading, VendorInvoice
from store.models.breakglass import AccessDeadline, BreakGlass
from store.models.cases import (
    CaseConfiguration,
    CaseDetection,
    CaseEdit,
    CaseEvent,
    CaseItem,
    CaseReading,
    CaseRecord,
)
from store.models.configuration import ConfigurationBody, ConfigurationRecord
from store.models.customers import CustomerDocument
from store.models.detections import (
    AlertLabel,
    Detection,
    DetectionBody,
    DetectionCount,
    Fold,
    FoldKey,
    Sighting,
    Snooze,
    Storm,
    TriageAction,
    TriageChange,
)
from store.models.operations import AuditEntry, AuditUse, OrganizationError, Usage
from store.models.organizations import Organization
from store.models.reviews import AccessReview, ReviewContent, ReviewDecision, ReviewLine
from store.models.rollouts import (
    DriftDecision,
    RolloutApproval,
    RolloutBody,
    RolloutLease,
    RolloutPlan,
    RolloutStep,
    RolloutWave,
    TemplateOwned,
    WantedContent,
    WantedState,
)
from store.models.runs import Run, RunItem, RunStep
from store.models.searches import LcqlOrganization, LcqlRow, LcqlSearch
from store.models.sensors import Sensor
from store.models.shift import (
    Campaign,
    CampaignAlert,
    CampaignNote,
    Handover,
    HandoverItem,
    QueueLook,
    SavedQueue,
)
from store.models.templates import (
    TemplateAssignment,
    TemplateContent,
    TemplateFile,
    TemplateVersion,
)
from store.models.tree import Node

__all__ = [
    "AccessDeadline",
    "AccessEvent",
    "AccessFile",
    "AccessFormer",
    "AccessPlan",
    "AccessReview",
    "AccessStep",
    "AlertLabel",
    "ApiKey",
    "AuditEntry",
    "AuditUse",
    "BreakGlass",
    "Campaign",
    "CampaignAlert",
    "CampaignNote",
    "CaseConfiguration",
    "CaseDetection",
    "CaseEdit",
    "CaseEvent",
    "CaseItem",
    "CaseReading",
    "CaseRecord",
    "ConfigurationBody",
    "ConfigurationRecord",
    "CustomerDocument",
    "Detection",
    "DetectionBody",
    "DetectionCount",
    "DirectPermission",
    "DriftDecision",
    "Fold",
    "FoldKey",
    "Group",
    "GroupMember",
    "GroupOrganization",
    "GroupRole",
    "Handover",
    "HandoverItem",
    "Journal",
    "LcqlOrganization",
    "LcqlRow",
    "LcqlSearch",
    "Node",
    "Organization",
    "OrganizationChange",
    "OrganizationError",
    "Preference",
    "PriceBook",
    "QueueLook",
    "QuotaReading",
    "ReviewContent",
    "ReviewDecision",
    "ReviewLine",
    "RolloutApproval",
    "RolloutBody",
    "RolloutLease",
    "RolloutPlan",
    "RolloutStep",
    "RolloutWave",
    "Run",
    "RunItem",
    "RunStep",
    "SavedQueue",
    "Sensor",
    "Sighting",
    "Snooze",
    "StagedChange",
    "Storm",
    "SyncRun",
    "SyncState",
    "TemplateAssignment",
    "TemplateContent",
    "TemplateFile",
    "TemplateOwned",
    "TemplateVersion",
    "TriageAction",
    "TriageChange",
    "Usage",
    "User",
    "VendorInvoice",
    "WantedContent",
    "WantedState",
]
