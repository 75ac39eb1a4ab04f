"""Uploads and zips: filed as if they came by C-STORE, refused in words, and never half of anything."""

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydicom import dcmread

from app.receive import zips
from app.receive.spool import Spool
from app.receive.upload import AE_TITLE, FileResult, Upload, Verdict
from app.receive.zips import Limits, ZipRefused, problem_of, unpack
from app.study import uid_hash
from tests.unit.receive.objects import DEFLATED, encode, make_object, to_file

LIMITS = Limits(files=100, bytes=1 << 30, ratio=50)
MOST = 1 << 20


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 0)


@pytest.fixture
def upload(spool: Spool) -> Upload:
    return Upload(spool, MOST)


def send(upload: Upload, content: bytes, name: str = "a.dcm", piece: int = 100) -> FileResult:
    arriving = upload.receive(name)
    for start in range(0, len(content), piece):
        arriving.write(content[start : start + piece])
    return arriving.finish()


def packed(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def unpacked(upload: Upload, path: Path, limits: Limits = LIMITS) -> dict[str, FileResult]:
    found: list[FileResult] = []
    unpack(path, "z", upload, limits, found.append)
    return {each.name.removeprefix("z/"): each for each in found}


def left(spool: Spool, tmp_path: Path) -> list[Path]:
    return list((tmp_path / "spool" / "incoming").iterdir())


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", DEFLATED])
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_an_upload_is_filed_as_c_store_files_it(spool: Spool, upload: Upload, syntax: str, piece: int) -> None:
    made = make_object("1.2", "1.2.3")
    result = send(upload, to_file(made, syntax), piece=piece)
    key = uid_hash("1.2")
    assert result == FileResult("a.dcm", Verdict.STORED, study=key[:12])
    (file,) = spool.files(key)
    data = encode(make_object("1.2", "1.2.3", SeriesInstanceUID=made.SeriesInstanceUID), syntax)
    assert file.read_bytes().endswith(data)
    assert dcmread(file).file_meta.SourceApplicationEntityTitle == AE_TITLE
    stored = spool.store(
        data, sop_class_uid=made.SOPClassUID, sop_instance_uid="1.2.3", transfer_syntax_uid=syntax, calling_ae="CT1"
    )
    assert (stored.new, stored.path) == (False, file)
    assert send(upload, to_file(made, syntax)).verdict is Verdict.DUPLICATE


def test_an_open_upload_counts_as_an_open_association(spool: Spool, upload: Upload) -> None:
    send(upload, to_file(make_object("1.2", "1.2.3")))
    (arrival,) = spool.arrivals()
    assert (arrival.open_associations, arrival.interrupted) == (1, False)
    assert upload.close(finished=True)
    (arrival,) = spool.arrivals()
    assert (arrival.open_associations, arrival.interrupted) == (0, False)


def test_an_upload_that_breaks_off_leaves_the_mark_of_an_aborted_association(spool: Spool, upload: Upload) -> None:
    send(upload, to_file(make_object("1.2", "1.2.3")))
    assert not upload.close(finished=False)
    assert spool.arrivals()[0].interrupted


def test_a_file_that_broke_off_makes_its_study_wait_unless_it_comes_again(spool: Spool, tmp_path: Path) -> None:
    whole = to_file(make_object("1.2", "1.2.3", EncapsulatedDocument=bytes(3000)))
    for again, interrupted in ((False, True), (True, False)):
        upload = Upload(spool, MOST)
        arriving = upload.receive("b.dcm")
        arriving.write(whole[:2000])
        arriving.break_off()
        assert left(spool, tmp_path) == []
        if again:
            assert send(upload, whole, "b.dcm").verdict is Verdict.STORED
        assert upload.close(finished=True) is not interrupted
        assert spool.interrupted(uid_hash("1.2")) is interrupted


def refusals() -> dict[str, tuple[bytes, str]]:
    other = to_file(make_object("1.2", "1.2.3"))
    no_study = make_object("1.2", "1.2.4")
    del no_study.StudyInstanceUID
    directory = make_object("1.2", "1.2.3", SOPClassUID="1.2.840.10008.1.3.10")
    swapped = other.replace(b"1.2.3\0", b"1.2.9\0", 1)
    return {
        "text": (b"hello", "not_dicom"),
        "nothing": (b"", "not_dicom"),
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(500), "not_dicom"),
        "zip": (b"PK\x03\x04" + bytes(500), "nested"),
        "directory": (to_file(directory), "sop_class"),
        "no study": (to_file(no_study), "data_set"),
        "another": (swapped, "data_set"),
        "cut off": (other[: other.index(b"\x20\x00\x0d\x00") + 4], "data_set"),
        "too large": (to_file(make_object("1.2", "1.2.5", EncapsulatedDocument=bytes(MOST))), "too_large"),
    }


@pytest.mark.parametrize("kind", refusals())
def test_what_cannot_be_filed_is_refused_in_words_and_nothing_stays(
    kind: str, spool: Spool, upload: Upload, tmp_path: Path
) -> None:
    content, reason = refusals()[kind]
    result = send(upload, content)
    assert (result.verdict, result.reason) == (Verdict.REFUSED, reason)
    assert result.detail
    assert spool.study_keys() == ()
    assert left(spool, tmp_path) == []
    assert upload.close(finished=True)


def test_a_full_disk_refuses(tmp_path: Path) -> None:
    upload = Upload(Spool(tmp_path / "spool", 1 << 40), MOST)
    assert send(upload, to_file(make_object("1.2", "1.2.3"))).reason == "disk_full"


def test_every_file_of_a_zip_is_received_by_itself(spool: Spool, upload: Upload, tmp_path: Path) -> None:
    files = {f"study/{n}": to_file(make_object("1.2", f"1.2.{n}")) for n in range(3)}
    found = unpacked(
        upload, packed(tmp_path / "z.zip", files | {"study/": b"", "README": b"hello", "in.zip": b"PK\3\4x"})
    )
    assert [found[name].verdict for name in files] == [Verdict.STORED] * 3
    assert (found["README"].reason, found["in.zip"].reason, len(found)) == ("not_dicom", "nested", 5)
    assert len(spool.files(uid_hash("1.2"))) == 3


def test_a_zip_within_a_zip_is_not_unpacked(spool: Spool, upload: Upload, tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"a": to_file(make_object("1.2", "1.2.3"))}).read_bytes()
    found = unpacked(upload, packed(tmp_path / "z.zip", {"inner.zip": inner}))
    assert found["inner.zip"].reason == "nested"
    assert spool.study_keys() == ()


def odd_entries() -> dict[str, tuple[dict[str, object], str]]:
    return {
        "../../etc/passwd": ({}, "path"),
        "/etc/passwd": ({}, "path"),
        "a\\..\\b": ({}, "path"),
        "C:\\x": ({}, "path"),
        "link": ({"external_attr": 0o120777 << 16}, "link"),
        "device": ({"external_attr": 0o020666 << 16}, "link"),
        "secret": ({"flag_bits": 1}, "encrypted"),
        "lzma": ({"compress_type": zipfile.ZIP_LZMA}, "compression"),
        "bzip2": ({"compress_type": zipfile.ZIP_BZIP2}, "compression"),
    }


@pytest.mark.parametrize("name", odd_entries())
def test_odd_entries_of_a_zip_are_refused_by_what_they_are(name: str) -> None:
    values, reason = odd_entries()[name]
    entry = zipfile.ZipInfo(name)
    for field, value in values.items():
        setattr(entry, field, value)
    refusal = problem_of(entry)
    assert refusal is not None
    assert refusal.reason == reason


def test_links_and_strange_names_in_a_real_zip_leave_no_file_anywhere(
    spool: Spool, upload: Upload, tmp_path: Path
) -> None:
    image = to_file(make_object("1.2", "1.2.3"))
    path = tmp_path / "deep" / "er" / "z.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("../../../evil.dcm", image)
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")
    before = set(tmp_path.rglob("*"))
    found = unpacked(upload, path)
    assert {each.reason for each in found.values()} == {"path", "link"}
    assert {each for each in set(tmp_path.rglob("*")) - before if "associations" not in each.parts} == set()


@given(st.text(min_size=1, max_size=60))
def test_no_name_of_a_zip_becomes_a_path(name: str) -> None:
    entry = zipfile.ZipInfo("x")
    entry.filename = entry.orig_filename = name
    refusal = problem_of(entry)
    parts = name.replace("\\", "/").split("/")
    leads_out = ".." in parts or name[0] in "/\\" or "\0" in name
    assert not leads_out or (refusal is not None and refusal.reason == "path")


def test_a_bomb_is_refused_before_anything_of_it_is_unpacked(
    spool: Spool, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "RATIO_FROM", 1 << 20)
    image = to_file(make_object("1.2", "1.2.3"))
    path = packed(tmp_path / "z.zip", {"a": image, "b": bytes(8 << 20)})
    with pytest.raises(ZipRefused, match=r"more than 50 \(uploads.max_ratio\)"):
        unpacked(upload, path)
    with pytest.raises(ZipRefused, match="max_unpacked_mb"):
        unpacked(upload, path, Limits(100, 1 << 20, 1e9))
    with pytest.raises(ZipRefused, match="2 files, more than 1"):
        unpacked(upload, path, Limits(1, 1 << 30, 1e9))
    assert spool.study_keys() == ()


def test_files_that_share_bytes_count_each_for_itself(
    spool: Spool, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bomb of overlapping entries: one kernel of zeros, named a hundred times in the directory."""
    monkeypatch.setattr(zips, "RATIO_FROM", 1 << 20)
    path = packed(tmp_path / "z.zip", {"a": bytes(1 << 20)})
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    directory = content[start:end] * 90
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 90, 90, len(directory), start, 0)
    path.write_bytes(content[:start] + directory + tail)
    with pytest.raises(ZipRefused, match="max_ratio"):
        unpacked(upload, path)
    assert spool.study_keys() == ()


def test_a_directory_that_would_fill_the_memory_is_not_read(upload: Upload, tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    path.write_bytes(bytes(1 << 20) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 1 << 20, 0, 0))
    with pytest.raises(ZipRefused, match="max_files"):
        unpacked(upload, path)
    long = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 10, 0, 0)
    path.write_bytes(bytes(100) + long + locator + end)
    with pytest.raises(ZipRefused, match="max_files"):
        unpacked(upload, path)


def test_a_zip_in_the_long_form_is_read(spool: Spool, upload: Upload, tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as made, made.open("a", "w", force_zip64=True) as entry:
        entry.write(to_file(make_object("1.2", "1.2.3")))
    assert unpacked(upload, path)["a"].verdict is Verdict.STORED


def test_a_damaged_file_of_a_zip_is_refused_and_its_upload_is_not_whole(
    spool: Spool, upload: Upload, tmp_path: Path
) -> None:
    image = to_file(make_object("1.2", "1.2.3", EncapsulatedDocument=bytes(range(256)) * 8))
    path = packed(tmp_path / "z.zip", {"a": image}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(bytes(range(200)))] ^= 0xFF
    path.write_bytes(content)
    assert unpacked(upload, path)["a"].reason == "damaged"
    assert spool.study_keys() == ()
    assert left(spool, tmp_path) == []
    assert not upload.close(finished=True)


def test_a_file_that_lies_before_the_beginning_of_its_zip_is_damaged(upload: Upload, tmp_path: Path) -> None:
    """Its directory says that it is longer than it is, so that zipfile takes all places for so much earlier."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a", to_file(make_object("1.2", "1.2.3")))
    content = bytearray(buffer.getvalue())
    end = content.rfind(b"PK\5\6")
    (begins,) = struct.unpack_from("<I", content, end + 16)
    struct.pack_into("<I", content, end + 16, begins + 7)
    path = tmp_path / "z.zip"
    path.write_bytes(content)
    assert [each.reason for each in unpacked(upload, path).values()] == ["damaged"]


@given(
    damage=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
    length=st.none() | st.integers(0, 1 << 16),
)
@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_zip_with_any_damage_is_refused_or_read(
    damage: list[tuple[int, int]], length: int | None, upload: Upload, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", to_file(make_object("1.2", "1.2.3")))
        made.writestr("b", b"text")
    content = bytearray(buffer.getvalue())
    for place, value in damage:
        content[place % len(content)] = value
    path = tmp_path / "z.zip"
    path.write_bytes(content if length is None else content[: length % len(content)])
    try:
        found = unpacked(upload, path)
    except ZipRefused:
        return
    assert all(each.verdict is not Verdict.REFUSED or each.detail for each in found.values())
