"""For each alert: figures at which it must fire, with the labels it then has, and figures at which it must not.

Values are promtool's: "0+1x10" begins at 0 and adds 1 ten times, "_x5" is five times nothing. One a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Figures = Mapping[str, str]

DAY = 1440
MONDAY_NOON = 4 * DAY + 12 * 60
"""Minutes after 1970-01-01, a Thursday: promtool's clock begins there."""
SUNDAY_NOON = 3 * DAY + 12 * 60


@dataclass(frozen=True)
class Case:
    """One alert.

    Attributes:
        alert: Its name.
        severity: As it stands in the rule.
        bad, good: Figures at which it fires, or does not.
        labels: Of the alert that fires, beside its severity.
        at: Minutes after the beginning at which is asked.
        good_at: The same of `good`, where it differs.
    """

    alert: str
    severity: str
    bad: Figures
    good: Figures
    labels: Mapping[str, str] = field(default_factory=dict)
    at: int = 60
    good_at: int = 0


def steady(**values: float) -> Figures:
    """Gauges without labels that stay as they are."""
    return {name: f"{value:g}x200" for name, value in values.items()}


WORKER = {"instance": "worker:9464", "job": "vigil-worker"}
ALL_UP = {f'up{{job="vigil-{role}",instance="{role}:9464"}}': "1x200" for role in ("listener", "web", "worker")}
ROOM = {"vigil_spool_min_free_bytes": "2e9x600"}


def disk(free: str) -> Figures:
    return {
        **ROOM,
        'vigil_disk_free_bytes{folder="spool"}': free,
        'vigil_disk_size_bytes{folder="spool"}': "100e9x600",
    }


def failures(values: str) -> Figures:
    return {'vigil_failures_total{stage="infer",reason="service"}': values}


def reports(succeeded: str, failed: str) -> Figures:
    start = 'vigil_reports_total{bundle="head",outcome='
    return {f'{start}"succeeded"}}': succeeded, f'{start}"failed"}}': failed}


def notices(all_of_them: str, in_time: str) -> Figures:
    name = "vigil_urgent_notice_seconds"
    return {f"{name}_count": all_of_them, f'{name}_bucket{{le="300.0"}}': in_time}


def gpu(used: float) -> Figures:
    labels = '{gpu="0",instance="worker:9464"}'
    return {f"vigil_gpu_memory_used_bytes{labels}": f"{used:g}x200", f"vigil_gpu_memory_size_bytes{labels}": "100x200"}


def certificate(days: float) -> Figures:
    return {'vigil_certificate_expires_timestamp_seconds{use="listener"}': f"{days * 86400:g}x200"}


CASES = (
    Case(
        "VigilProcessDown",
        "critical",
        {'up{job="vigil-worker",instance="worker:9464"}': "1x50 0x20"},
        {'up{job="vigil-worker",instance="worker:9464"}': "1x58 0 1x20"},
        WORKER,
    ),
    Case(
        "VigilProcessMissing",
        "critical",
        {name: values for name, values in ALL_UP.items() if "worker" not in name},
        ALL_UP,
        {"job": "vigil-worker"},
    ),
    Case("VigilNoWorker", "critical", {"vigil_workers_alive": "1x50 0x20"}, steady(vigil_workers_alive=1)),
    Case(
        "VigilPartDown",
        "critical",
        {'vigil_part_ok{part="database"}': "1x50 0x20"},
        {'vigil_part_ok{part="database"}': "1x58 0 1x20", 'vigil_part_ok{part="spool"}': "1x200"},
        {"part": "database"},
    ),
    Case(
        "VigilRestarting",
        "critical",
        {'vigil_process_start_time_seconds{role="worker"}': "1x40 2x4 3x4 4x20"},
        {'vigil_process_start_time_seconds{role="worker"}': "1x40 2x40"},
        {"role": "worker"},
    ),
    Case(
        "VigilFiguresStale",
        "warning",
        {"vigil_figures_looked_at_timestamp_seconds": "0+60x40 2400x40"},
        {"vigil_figures_looked_at_timestamp_seconds": "0+60x90"},
    ),
    Case(
        "VigilBundleNotServed",
        "warning",
        {'vigil_model_ready{bundle="head"}': "0x200"},
        {'vigil_model_ready{bundle="head"}': "0x5 1x200"},
        {"bundle": "head"},
    ),
    Case("VigilBundlesRefused", "warning", steady(vigil_bundles_refused=2), steady(vigil_bundles_refused=0)),
    Case(
        "VigilAuditFails",
        "critical",
        {'vigil_audit_failures_total{sink="file"}': "0x50 1x20"},
        {'vigil_audit_failures_total{sink="file"}': "3x90", "vigil_audit_messages_total": "0+1x90"},
        {"sink": "file"},
    ),
    Case(
        "VigilImagesRefusedForDisk",
        "critical",
        {'vigil_receive_refused_total{reason="disk_full"}': "0x55 1x20"},
        {
            'vigil_receive_refused_total{reason="disk_full"}': "7x100",
            'vigil_receive_refused_total{reason="data_set"}': "0x55 1x20",
        },
        {"reason": "disk_full"},
    ),
    Case(
        "VigilImagesRefused",
        "warning",
        {'vigil_receive_refused_total{reason="data_set"}': "0x55 1x20"},
        {
            'vigil_receive_refused_total{reason="data_set"}': "7x100",
            'vigil_receive_refused_total{reason="disk_full"}': "0x55 1x20",
        },
        {"reason": "data_set"},
    ),
    Case(
        "VigilAssociationsRefused",
        "warning",
        {'vigil_associations_refused_total{reason="calling_ae"}': "0x50 0+1x20"},
        {'vigil_associations_refused_total{reason="calling_ae"}': "0x50 1x30"},
        {"reason": "calling_ae"},
    ),
    Case(
        "VigilSendersBreakOff",
        "warning",
        {"vigil_associations_broken_off_total": "0x20 0+1x60"},
        {"vigil_associations_broken_off_total": "0x20 2x60"},
    ),
    Case(
        "VigilNoImages",
        "warning",
        {"vigil_receive_images_total": f"500x{7 * DAY}"},
        {"vigil_receive_images_total": f"0+1x{7 * DAY}"},
        at=MONDAY_NOON,
    ),
    Case(
        "VigilDiskFilling",
        "warning",
        disk("60e9-50e6x600"),
        disk("40e9-1e6x600"),
        {"folder": "spool"},
        at=450,
    ),
    Case("VigilDiskAlmostFull", "critical", disk("3e9x200"), disk("5e9x200"), {"folder": "spool"}),
    Case(
        "VigilQueueOld",
        "warning",
        {'vigil_queue_oldest_seconds{queue="inference"}': "0+60x90"},
        {
            'vigil_queue_oldest_seconds{queue="inference"}': "30x90",
            'vigil_queue_oldest_seconds{queue="redelivery"}': "0+60x90",
        },
        {"queue": "inference"},
    ),
    Case(
        "VigilStudiesNotBegun",
        "warning",
        {"vigil_studies_arriving_quiet_seconds": "0+60x90"},
        steady(vigil_studies_arriving_quiet_seconds=290),
    ),
    Case(
        "VigilStudyWithoutReport",
        "warning",
        {"vigil_studies_unfinished_oldest_seconds": "0+90x90"},
        steady(vigil_studies_unfinished_oldest_seconds=600),
    ),
    Case("VigilFailuresRising", "warning", failures("0x1450 0+1x50"), failures("0+1x1500"), at=1490),
    Case(
        "VigilStudyFailed",
        "warning",
        {'vigil_studies_total{state="failed"}': "0x50 1x20"},
        {'vigil_studies_total{state="failed"}': "3x90", 'vigil_studies_total{state="delivered"}': "0+1x90"},
    ),
    Case(
        "VigilUndeterminedShare",
        "warning",
        reports("0+1x400", "0+1x400"),
        reports("0+1x400", "0x395 1x5"),
        {"bundle": "head"},
        at=390,
    ),
    Case("VigilOutcomesDamaged", "warning", steady(vigil_outcomes_damaged=1), steady(vigil_outcomes_damaged=0)),
    Case(
        "VigilDeadLetters",
        "warning",
        {'vigil_dead_letters{destination="pacs"}': "0x50 2x20"},
        {'vigil_dead_letters{destination="pacs"}': "2x50 0x20"},
        {"destination": "pacs"},
    ),
    Case(
        "VigilDestinationLeftAlone",
        "warning",
        {'vigil_destination_left_alone{destination="pacs"}': "1x90"},
        {'vigil_destination_left_alone{destination="pacs"}': "0x50 1x5 0x30"},
        {"destination": "pacs"},
    ),
    Case(
        "VigilDocumentsWaiting",
        "warning",
        {'vigil_documents_waiting_oldest_seconds{destination="pacs"}': "0+90x90"},
        {'vigil_documents_waiting_oldest_seconds{destination="pacs"}': "1200x90"},
        {"destination": "pacs"},
    ),
    Case(
        "VigilDocumentsNeverMade",
        "warning",
        steady(vigil_documents_never_made=1),
        steady(vigil_documents_never_made=0),
    ),
    Case(
        "VigilUrgentNoticeWaiting",
        "critical",
        {"vigil_urgent_waiting_oldest_seconds": "0x50 0+60x20"},
        steady(vigil_urgent_waiting_oldest_seconds=20),
    ),
    Case("VigilUrgentNoticeLate", "warning", notices("0x50 2x20", "0x50 1x20"), notices("0x50 2x20", "0x50 2x20")),
    Case("VigilGpuMemory", "warning", gpu(97), gpu(80), {"gpu": "0", "instance": "worker:9464"}),
    Case(
        "VigilGpuOutOfMemory",
        "warning",
        {'vigil_gpu_out_of_memory_total{instance="worker:9464"}': "0x50 1x20"},
        {'vigil_gpu_out_of_memory_total{instance="worker:9464"}': "1x90"},
        {"instance": "worker:9464"},
    ),
    Case("VigilCertificateExpires", "warning", certificate(20), certificate(90), {"use": "listener"}, at=90),
    Case("VigilCertificateExpiresNow", "critical", certificate(2), certificate(20), {"use": "listener"}),
)
