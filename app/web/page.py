"""The studies as one page: rendered here, no script, nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from app.findings import Presence
from app.outcomes import State, StudyOutcome
from app.revisions import Relation
from app.structures import MOST_SHOWN
from app.web.models import FindingSummary, StudySummary
from app.web.reader import NOBODY, Reader
from app.words import certainty_in_words, flagged

REFRESH_S = 5
LONGEST_KEY = 12
STATES = {
    State.RECEIVED: ("wait", "received"),
    State.PROCESSING: ("wait", "in progress"),
    State.DELIVERED: ("good", "delivered"),
    State.UNDELIVERED: ("bad", "not delivered"),
    State.SUPERSEDED: ("calm", "superseded"),
    State.UNWANTED: ("calm", "no bundle wants it"),
    State.FAILED: ("bad", "failed"),
}
STYLE = """
:root{color-scheme:light dark;--ink:#1c2530;--dim:#67727e;--paper:#f5f6f8;--card:#fff;--line:#e3e6ea;--good:#1a7f4b;
--bad:#c22f2f;--wait:#a36a00;--calm:#5b6875;--accent:#2b5fb8}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ec;--dim:#97a2ad;--paper:#14181d;--card:#1c2229;--line:#2c343d;
--good:#4cc38a;--bad:#f07272;--wait:#e0a63c;--calm:#9aa7b4;--accent:#7ba6f0}}
*{box-sizing:border-box}html{font-size:clamp(16px,8px + .55vw,28px)}
body{margin:0;background:var(--paper);color:var(--ink);font:.94rem/1.5 system-ui,sans-serif}
.banner{background:#8a5a00;color:#fff;text-align:center;padding:.4rem 1rem;font-size:.85rem;letter-spacing:.02em}
header,main{max-width:72rem;margin:0 auto;padding:1.2rem 1.2rem 0}
header{display:flex;align-items:baseline;gap:1rem}h1{font-size:1.4rem;margin:0}
header p{color:var(--dim);margin:0}header nav{margin-left:auto}a{color:var(--accent)}
.study{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0 0 .6rem;overflow:hidden}
summary{display:grid;grid-template-columns:8.5rem 12rem 1fr 5rem;gap:1rem;align-items:center;padding:.7rem 1rem;
cursor:pointer;list-style:none}summary::-webkit-details-marker{display:none}
summary:hover{background:color-mix(in srgb,var(--accent) 6%,transparent)}
code,time{font:.82rem/1.5 ui-monospace,monospace;color:var(--dim)}time{white-space:nowrap}.right{text-align:right}
.tag{display:inline-block;padding:.05rem .6rem;border-radius:99px;font-size:.82rem;border:1px solid currentColor;
white-space:nowrap}.early{white-space:normal;border-radius:9px;background:var(--bad);color:var(--card);
border-color:var(--bad)}.good{color:var(--good)}.bad{color:var(--bad)}.wait{color:var(--wait)}.calm{color:var(--calm)}
.finding{font-weight:600}.more{padding:.2rem 1rem 1rem;border-top:1px solid var(--line)}
table{border-collapse:collapse;width:100%;margin:.4rem 0}td,th{text-align:left;padding:.2rem .8rem .2rem 0;
vertical-align:top;font-weight:400}th{color:var(--dim);width:25rem;overflow-wrap:anywhere}
.bar{position:relative;display:inline-block;width:7rem;height:.5rem;background:var(--line);border-radius:9px;margin-right:.6rem}
.bar i{display:block;height:100%;border-radius:9px;background:currentColor}
.bar b{position:absolute;top:-.2rem;bottom:-.2rem;width:2px;background:var(--ink)}
.states{display:flex;flex-wrap:wrap;gap:.3rem}.old>summary{opacity:.6}
@media (max-width:56rem){summary{grid-template-columns:1fr}.right{text-align:left}th{width:40%}}
form{display:inline}button{font:inherit;font-size:.85rem}
.empty{color:var(--dim);text-align:center;padding:4rem 0}h2{font-size:.95rem;margin:.9rem 0 .2rem}
"""


def render(
    outcomes: Sequence[StudyOutcome],
    related: Mapping[str, Relation],
    now: datetime | None = None,
    reader: Reader = NOBODY,
) -> str:
    """The newest studies as one HTML document; it loads itself again every few seconds.

    Args:
        outcomes: What to show, in this order.
        related: Where each stands among the revisions of its study, by key.
        now: Shown as the time of the page.
        reader: For whom; who may send documents again gets a button for it.
    """
    now = now or datetime.now(UTC)
    body = "".join(_study(outcome, related[outcome.key], reader) for outcome in outcomes) or (
        '<p class="empty">Nothing has arrived yet. Send a study to the listener:<br>'
        "<code>python -m app send FOLDER --host HOST --port PORT</code></p>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Vigil · studies</title><style>{STYLE}</style></head><body>"
        '<div class="banner">Research only. Not for diagnosis.</div>'
        f"<header><h1>Vigil</h1><p>{_count(len(outcomes))}, as of {now:%H:%M:%S} UTC</p>"
        '<nav><a href="health">health</a> · <a href="metrics">metrics</a> · <a href="api/v1/studies">JSON</a>'
        f"{_who(reader)}"
        "</nav></header>"
        f"<main>{body}</main></body></html>"
    )


def _who(reader: Reader) -> str:
    if not reader.name:
        return ""
    leave = f" {_form('/logout', 'log out', reader)}" if reader.may_leave else ""
    return f" · {escape(reader.name)}{leave}"


def _form(action: str, words: str, reader: Reader) -> str:
    return (
        f'<form method="post" action="{escape(action)}"><input type="hidden" name="csrf" value="{escape(reader.csrf)}">'
        f"<button>{words}</button></form>"
    )


def _study(outcome: StudyOutcome, relation: Relation, reader: Reader) -> str:
    summary = StudySummary.of(outcome, relation)
    tone, words = STATES[summary.state]
    seconds = "" if summary.seconds is None else f"{summary.seconds:.1f} s"
    key = escape(summary.key)
    return (
        f'<details class="study{" old" if relation.superseded_by else ""}" id="{key}"><summary>'
        f"<time>{summary.received_at:%d %b %H:%M:%S}</time>"
        f'<span class="states"><span class="tag {tone}">{words}</span>{_old(summary)}{_early(summary)}</span>'
        f"<span>{_headline(summary) or _why_not(outcome)}</span>"
        f'<span class="right"><code>{seconds}</code></span></summary>'
        f'<div class="more"><p>study <code>{key[:LONGEST_KEY]}…</code>, revision {_revision(summary.key)}, '
        f"{_images(summary.images)}</p>{_revisions(summary)}{_findings(summary)}{_words('Measured', summary.measured)}"
        f"{_words('Problem', [summary.problem])}"
        f"{_words('Notes', outcome.notes)}{_routing(outcome)}{_deliveries(outcome)}"
        f"{_again(outcome, relation, reader)}</div></details>"
    )


def _again(outcome: StudyOutcome, relation: Relation, reader: Reader) -> str:
    if not reader.may_replay or relation.superseded_by or not outcome.documents:
        return ""
    return _form(f"/api/v1/studies/{outcome.key}/replay", "send the documents again", reader)


def _old(summary: StudySummary) -> str:
    """Where the state alone does not say that a newer revision stands for this one."""
    told = not summary.superseded_by or summary.state is State.SUPERSEDED
    return "" if told else '<span class="tag calm">superseded</span>'


def _early(summary: StudySummary) -> str:
    """The mark of a study that is to be read before others; one that a newer revision stands for needs none."""
    if not summary.urgent or summary.superseded_by:
        return ""
    return f'<span class="tag early">{flagged(research_only=summary.research_only)}</span>'


def _revisions(summary: StudySummary) -> str:
    lines = [f"Superseded by the newer revision {_revision(summary.superseded_by)}"] if summary.superseded_by else []
    if summary.supersedes:
        lines.append(f"Supersedes {', '.join(_revision(key) for key in summary.supersedes)}")
    return "".join(f"<p>{line}</p>" for line in lines)


def _revision(key: str) -> str:
    """A revision by the part of its key that tells it from the others of its study."""
    return f'<a href="studies/{escape(key)}"><code>{escape(key.rpartition("-")[2])}</code></a>'


def _headline(summary: StudySummary) -> str:
    """The main finding of every bundle; a further one that is present where it is urgent or the main one is not."""
    mains: dict[str, FindingSummary] = {}
    told = []
    for finding in summary.findings:
        main = mains.setdefault(finding.bundle, finding)
        also = finding.presence == Presence.PRESENT and (finding.urgent or main.presence != Presence.PRESENT)
        if finding is main or also:
            told.append(finding)
    words = [
        f'<span class="{_tone(finding)}"><span class="finding">{_plain(finding.kind)}: {finding.presence}</span>'
        f"{_percent(finding)}</span>"
        for finding in told
    ]
    if not words and summary.measured:
        more = len(summary.measured) - MOST_SHOWN
        shown = [escape(line) for line in summary.measured[:MOST_SHOWN]]
        words = [f'<span class="calm">{line}</span>' for line in (*shown, *([f"{more} more"] if more > 0 else []))]
    return " · ".join(words) or escape(summary.problem)


def _why_not(outcome: StudyOutcome) -> str:
    """In place of a finding: why no bundle wants the study, or how much of it there is."""
    declined = outcome.decision.declined if outcome.decision and outcome.state is State.UNWANTED else ()
    reason = next((reason for each in declined for reason in each.reasons), _images(len(outcome.files)))
    return f'<span class="calm">{escape(reason)}</span>'


def _findings(summary: StudySummary) -> str:
    rows = "".join(
        f'<tr><th>{_plain(finding.kind)}</th><td class="{_tone(finding)}">{_bar(finding)}{finding.presence}'
        f"{_percent(finding)}</td><td>{_where(finding)}</td></tr>"
        for finding in summary.findings
    )
    return f"<table>{rows}</table>" if rows else ""


def _where(finding: FindingSummary) -> str:
    words = [] if finding.slice is None else [f"slice {finding.slice}"]
    words += [] if finding.image is None else [f"image {finding.image}"]
    if finding.regions:
        words.append("1 region" if finding.regions == 1 else f"{finding.regions} regions")
    if finding.lesions:
        words.append("1 lesion" if finding.lesions == 1 else f"{finding.lesions} lesions")
    if finding.volume_ml is not None:
        words.append(f"{finding.volume_ml:.1f} ml")
    return ", ".join(words)


def _routing(outcome: StudyOutcome) -> str:
    if outcome.decision is None:
        return ""
    rows = [(each.rule, f"matched: {'; '.join(each.evidence)}") for each in outcome.decision.assignments]
    rows += [(each.rule, "; ".join(each.reasons)) for each in outcome.decision.declined]
    return _table("Routing", rows)


def _deliveries(outcome: StudyOutcome) -> str:
    rows = [(f"{each.document} → {each.destination}", each.detail) for each in outcome.receipts]
    waiting = {(each.document, each.destination): f"waiting: {each.detail}" for each in outcome.waiting}
    rows += [
        (f"{each.document} → {each.destination}", waiting.get((each.document, each.destination), "waiting"))
        for each in outcome.pending
    ]
    rows += [(each.path.name, each.problem) for each in outcome.documents if each.problem]
    return _table("Deliveries", rows)


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th>{escape(left)}</th><td>{escape(right)}</td></tr>" for left, right in rows)
    return f"<h2>{title}</h2><table>{lines}</table>" if lines else ""


def _words(title: str, words: Sequence[str]) -> str:
    return "".join(f"<p><b>{title}:</b> {escape(word)}</p>" for word in words if word)


def _bar(finding: FindingSummary) -> str:
    if finding.certainty is None:
        return ""
    mark = "" if finding.threshold is None else f'<b style="left:{100 * finding.threshold:.0f}%"></b>'
    return f'<span class="bar"><i style="width:{100 * finding.certainty:.0f}%"></i>{mark}</span>'


def _percent(finding: FindingSummary) -> str:
    return f" {certainty_in_words(finding.certainty, finding.threshold)}".rstrip()


def _tone(finding: FindingSummary) -> str:
    return {"present": "bad", "absent": "good"}.get(finding.presence, "wait")


def _plain(kind: str) -> str:
    return escape(kind.replace("_", " ").capitalize())


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"


def _count(number: int) -> str:
    return "1 study" if number == 1 else f"{number} studies"
