"""Names that tell nothing, and revisions that depend on the set of images alone."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.study import Study, revision_of, uid_hash

names = st.lists(st.from_regex(r"[0-9a-f]{4}\.[0-9a-f]{4}\.dcm", fullmatch=True), unique=True, max_size=8)


@given(names, st.randoms())
def test_the_revision_is_independent_of_order_folder_and_repetition(files: list[str], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert revision_of(Path("a") / name for name in files) == revision_of(
        Path("b") / name for name in [*shuffled, *shuffled]
    )


@given(names, names)
def test_different_sets_are_different_revisions(one: list[str], other: list[str]) -> None:
    same = revision_of(map(Path, one)) == revision_of(map(Path, other))
    assert same == (set(one) == set(other))


@given(st.text(max_size=80))
def test_a_hashed_uid_is_a_safe_file_name(uid: str) -> None:
    name = uid_hash(uid)
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")


def test_the_key_of_a_study_tells_no_uid() -> None:
    study = Study(uid="1.2.3", revision="0123456789abcdef", series=())
    assert study.key == f"{uid_hash('1.2.3')}-0123456789abcdef"
    assert "1.2.3" not in study.key
