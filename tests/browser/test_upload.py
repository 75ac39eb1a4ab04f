"""The upload page: files, a zip and strange things by choosing and by dropping, and what is said of each."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pydicom.uid import generate_uid

from app.outcomes import State
from app.study import uid_hash
from tests.browser.conftest import PageAs, Screenshot
from tests.e2e.conftest import Service
from tests.integration.workflow.tiny import ct_slices
from tests.unit.receive.objects import to_file

pytestmark = [pytest.mark.debian, pytest.mark.timeout(900)]

LONG_MS = 240_000
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


def test_a_viewer_has_no_way_to_upload(page_as: PageAs) -> None:
    page = page_as("viewer")
    expect(page.get_by_role("link", name="Upload")).to_have_count(0)
    answer = page.goto("/upload")
    assert answer is not None
    assert answer.status == 403
