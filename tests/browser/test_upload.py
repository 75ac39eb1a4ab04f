"""The upload page: files, a zip and strange things by choosing and by dropping, and what is said of each."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect
from pydicom.uid import generate_uid

from app.outcomes import State
from app.study import uid_hash
from tests.browser.conftest import PageAs, Screenshot
from tests.e2e.conftest import Service
from tests.integration.workflow.tiny import ct_slices
from tests.unit.receive.objects import make_object, to_file

pytestmark = [pytest.mark.debian, pytest.mark.timeout(900)]

LONG_MS = 240_000
MANY, SHOWN = 300, 200
EVIL = "<img src=x onerror=alert(1)>.txt"


def files(folder: Path, uid: str, slices: int = 5) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, each in enumerate(ct_slices(uid, slices)):
        made.append(folder / f"{number}.dcm")
        made[-1].write_bytes(to_file(each))
    return made


def done(page: Page) -> str:
    summary = page.locator("#summary")
    expect(summary).to_contain_text("Done", timeout=LONG_MS)
    return summary.inner_text()


def test_files_and_a_zip_are_uploaded_and_read_and_what_is_none_is_said(
    page: Page, service: Service, tmp_path: Path, screenshot: Screenshot, axe: Callable[[Page], list[str]]
) -> None:
    uid, packed_uid = generate_uid(), generate_uid()
    chosen = files(tmp_path / "files", uid)
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for each in files(tmp_path / "packed", packed_uid):
            made.write(each, f"CT/{each.name}")
        made.writestr("README.txt", "hello")
    strange = tmp_path / EVIL
    strange.write_text("<script>document.title = 'ran'</script>")
    page.goto("/upload")
    assert axe(page) == []
    page.get_by_label("Choose files").set_input_files([*chosen, packed, strange])
    assert done(page) == "Done: 7 of 7 files. Images: 10 stored, 2 refused."
    row = page.get_by_role("row").filter(has_text=EVIL)
    expect(row).to_contain_text("no DICOM file")
    expect(page.get_by_role("row").filter(has_text="study.zip")).to_contain_text("5 stored")
    assert page.title() == "Upload · Vigil"
    assert axe(page) == []
    screenshot("upload", page)
    for each in (uid, packed_uid):
        assert service.outcome(each, patience_s=240).state is State.DELIVERED
    page.get_by_role("link", name="Save the whole table").focus()
    page.get_by_label("Choose files").set_input_files(chosen[:2])
    expect(page.locator("#summary")).to_contain_text("2 duplicate", timeout=LONG_MS)


def test_files_are_dropped_and_uploading_can_be_broken_off(page: Page, service: Service, tmp_path: Path) -> None:
    uid = generate_uid()
    (content,) = (each.read_bytes() for each in files(tmp_path, uid, 1))
    page.goto("/upload")
    page.evaluate(
        """([bytes]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "dropped.dcm"));
            document.getElementById("drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
        }""",
        [list(content)],
    )
    assert done(page) == "Done: 1 of 1 files. Images: 1 stored."
    # The next file's body never comes to its end: the network holds it back until somebody breaks it off.
    page.route("**/files?*", lambda _: None)
    page.get_by_label("Choose files").set_input_files(tmp_path / "0.dcm")
    expect(page.get_by_role("button", name="Break off")).to_be_visible()
    page.get_by_role("button", name="Break off").press("Enter")
    expect(page.locator("#rows")).to_contain_text("broken off")
    page.unroute("**/files?*")
    page.get_by_role("button", name="Try the failed ones again").press("Enter")
    expect(page.locator("#summary")).to_contain_text("1 duplicate", timeout=LONG_MS)
    assert uid_hash(uid)[:12] in str(service.outcome(uid, patience_s=240).key)


DROP_COPIES = """([bytes, places, count]) => {
    const carried = new DataTransfer();
    for (let number = 0; number < count; number += 1) {
        const copy = new Uint8Array(bytes);
        for (const place of places) copy.set(new TextEncoder().encode(String(10000 + number)), place);
        carried.items.add(new File([copy], `IM${number}`));
    }
    document.getElementById("drop").dispatchEvent(
        new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""
"""Drops copies of a file, with another number in each place where its UID ends."""


def drop_copies(page: Page, uid: str, count: int) -> None:
    """Images of one study that differ in their SOP Instance UIDs."""
    sop = f"{uid}.10000"
    content = to_file(make_object(uid, sop, Modality="OT"))
    places = [found.start() + len(uid) + 1 for found in re.finditer(re.escape(sop.encode()), content)]
    assert len(places) == 2, "in the file's meta information, and in the data set"
    page.evaluate(DROP_COPIES, [list(content), places, count])


def test_hundreds_of_files_are_dropped_at_once(page: Page, service: Service) -> None:
    """Each becomes one image; those that need no eyes have no row beyond the first, and the saved table has all."""
    uid = f"1.2.826.0.1.{uuid4().int % 10**12}"
    page.goto("/upload")
    drop_copies(page, uid, MANY)
    assert done(page) == f"Done: {MANY} of {MANY} files. Images: {MANY} stored."
    expect(page.locator("#rows tr")).to_have_count(SHOWN)
    expect(page.locator("#more")).to_contain_text(f"{MANY - SHOWN} more files")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the whole table").press("Enter")
    lines = Path(saved.value.path()).read_text().splitlines()
    assert lines[0] == '"file","result","detail"'
    assert sorted(lines[1:]) == sorted(f'"IM{number}","stored",""' for number in range(MANY))
    assert len(service.outcome(uid, patience_s=240).files) == MANY


def test_a_service_that_is_away_for_a_moment_fails_no_file(page: Page) -> None:
    page.goto("/upload")
    page.route("**/files?*", lambda route: route.abort())
    page.route("**/health/live", lambda route: route.abort())
    drop_copies(page, f"1.2.826.0.1.{uuid4().int % 10**12}", 4)
    expect(page.locator("#summary")).to_contain_text("cannot be reached", timeout=LONG_MS)
    page.unroute("**/health/live")
    page.unroute("**/files?*")
    assert done(page) == "Done: 4 of 4 files. Images: 4 stored."


def test_a_file_that_cannot_be_read_any_more_holds_nobody_up(page: Page) -> None:
    """The service answers: so it is the file, which is told at once."""
    page.goto("/upload")
    page.route("**/files?name=IM1", lambda route: route.abort())
    drop_copies(page, f"1.2.826.0.1.{uuid4().int % 10**12}", 3)
    assert done(page) == "Done: 2 of 3 files. Images: 2 stored, 1 failed."
    expect(page.get_by_role("row").filter(has_text="IM1")).to_contain_text("try it again")
    page.unroute("**/files?name=IM1")
    page.get_by_role("button", name="Try the failed ones again").press("Enter")
    expect(page.locator("#summary")).to_contain_text("Done: 3 of 3 files", timeout=LONG_MS)


def test_a_viewer_has_no_way_to_upload(page_as: PageAs) -> None:
    page = page_as("viewer")
    expect(page.get_by_role("link", name="Upload")).to_have_count(0)
    answer = page.goto("/upload")
    assert answer is not None
    assert answer.status == 403


SLOW_PROGRESS = """
let asked;
const wasAsked = new Promise((done) => { asked = done; });
const listen = XMLHttpRequest.prototype.addEventListener;
XMLHttpRequest.prototype.addEventListener = function (kind, heard) {
  return listen.call(this, kind, kind === "loadend" ? async (event) => { await wasAsked; heard(event); } : heard);
};
const ask = window.fetch;
window.fetch = async (address, options) => {
  const answer = await ask(address, options);
  if (options || !String(address).startsWith("/api/v1/upload-sessions/")) return answer;
  const json = async () => {
    asked();
    const rows = document.getElementById("rows");
    while (!rows.textContent.includes("refused")) await new Promise((on) => setTimeout(on, 5));
    setTimeout(() => { rows.dataset.told = "late"; }, 0);
    return { stored: 15, duplicate: 0, refused: 0 };
  };
  return { ok: true, json };
};
"""
"""How far a zip is comes after what became of it: the end waits for that question, and its answer for the end."""


def test_what_became_of_a_file_stays_though_its_progress_is_told_late(page: Page, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(b"PK\3\4" + bytes(2000))
    page.add_init_script(SLOW_PROGRESS)
    page.goto("/upload")
    page.get_by_label("Choose files").set_input_files(damaged)
    expect(page.locator("#rows")).to_have_attribute("data-told", "late", timeout=LONG_MS)
    row = page.get_by_role("row").filter(has_text="damaged.zip")
    expect(row).to_contain_text("refused")
    assert "so far" not in row.inner_text()


def test_the_page_of_a_former_session_goes_on_after_a_new_log_in(
    page: Page, service: Service, tokens: dict[str, str], tmp_path: Path
) -> None:
    """Its token is none of the new session: the service gives a new one with the refusal, and nothing is lost."""
    page.goto("/upload")
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Log out").click()
    other.get_by_label("Access token").fill(tokens["operator"])
    other.get_by_role("button", name="Log in").click()
    other.wait_for_url("**/")
    page.get_by_label("Choose files").set_input_files(files(tmp_path, generate_uid(), 2))
    assert done(page) == "Done: 2 of 2 files. Images: 2 stored."
