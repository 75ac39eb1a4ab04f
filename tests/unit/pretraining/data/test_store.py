"""The store: stored values, ranges, labels; a killed or full run; batches from it."""

import errno
import json
import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bundles.common.reader import read_stack
from pretraining.data.decode import Recipe
from pretraining.data.errors import ArchiveError
from pretraining.data.index import Settings, build_index
from pretraining.data.loader import Prefetcher
from pretraining.data.plan import read_labels
from pretraining.data.sampler import BalancedSampler
from pretraining.data.shards import ShardSummary, StoreSettings, build_store
from pretraining.data.store import ImageStore, collate
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import ct_series, mixed, radiograph, ramp, save_nifti, save_picture


def _make(folder: Path, name: str = "store", **settings: Any) -> ImageStore:
    build_index(folder, folder.parent / "index.parquet")
    build_store(folder, folder.parent / "index.parquet", folder.parent / name, StoreSettings(**settings))
    return ImageStore(folder.parent / name)


def test_pictures_keep_their_values_in_their_bits(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "a.png", ramp(dtype=np.uint8))
    save_picture(tmp_path / "in" / "b.tif", ramp(start=3000))
    first, second = _make(tmp_path / "in")
    assert (first.image.dtype, second.image.dtype) == (torch.uint8, torch.uint16)
    assert np.array_equal(first.image.numpy(), ramp()[None])
    assert np.array_equal(second.image.numpy(), ramp(start=3000)[None])
    assert first.range == pytest.approx(tuple(np.percentile(ramp(), (1, 99))))


def test_monochrome1_is_stored_bright_side_up(tmp_path: Path) -> None:
    save(tmp_path / "in", [radiograph("A", 1, "MONOCHROME1")])
    (sample,) = _make(tmp_path / "in")
    assert np.array_equal(sample.image.numpy()[0], 4095 - ramp(start=1))


def test_hounsfield_units_come_back_from_the_window(tmp_path: Path) -> None:
    paths = save(tmp_path / "in", ct_series("A", 1))
    (sample,) = _make(tmp_path / "in", recipe=Recipe(windows={"CT": (-1000.0, -900.0)}))
    black, white = sample.range
    hu = -1000 + (sample.image.numpy().astype(float) - black) / (white - black) * 100
    assert np.allclose(hu, read_stack(paths[0]).array, atol=1e-3)


def test_eight_bits_map_black_to_white(tmp_path: Path) -> None:
    save_nifti(tmp_path / "in" / "a.nii", np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4))
    recipe = Recipe(dimensions=3, bits=8, windows={"unknown": (-0.5, 0.5)})
    (sample,) = _make(tmp_path / "in", recipe=recipe)
    expected = np.rint(np.clip((np.linspace(-1, 1, 24, dtype=np.float32) + 0.5) * 255, 0, 255)).reshape(1, 2, 3, 4)
    assert np.array_equal(sample.image.numpy(), expected)
    assert sample.range == (0.0, 255.0)


def test_fractions_are_scaled_into_sixteen_bits(tmp_path: Path) -> None:
    voxels = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    save_nifti(tmp_path / "in" / "a.nii", voxels)
    (sample,) = _make(tmp_path / "in", recipe=Recipe(dimensions=3, windows={"unknown": (-1.0, 1.0)}))
    black, white = sample.range
    assert np.allclose(-1 + 2 * (sample.image.numpy()[0] - black) / (white - black), voxels, atol=2 / 65535)


def test_series_become_volumes_in_three_dimensions(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in")
    store = _make(folder, recipe=Recipe(dimensions=3))
    assert sorted(tuple(sample.image.shape) for sample in store) == [(1, 3, 5, 6), (1, 4, 6, 8)]
    ct = next(sample for sample in store if sample.image.shape[1] == 4)
    stack = read_stack(folder / "ct").array
    assert np.array_equal(np.diff(ct.image.numpy()[0].astype(float), axis=0), np.diff(stack, axis=0))
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "store" / "report.jsonl").read_text().splitlines()]
    assert reasons == ["a single image where 3-D wants a volume"] * 5


def test_volumes_become_slices_in_two_dimensions(tmp_path: Path) -> None:
    store = _make(mixed(tmp_path / "in"))
    assert (len(store), store.group_names) == (12, ("CT", "DX", "unknown"))
    assert np.bincount(store.groups).tolist() == [4, 3, 5]
    assert len({sample.key for sample in store}) == 12


def test_large_images_are_averaged_down_in_proportion(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "a.png", np.kron(ramp(6, 8, dtype=np.uint8), np.ones((2, 2), dtype=np.uint8)))
    (sample,) = _make(tmp_path / "in", recipe=Recipe(max_side=8))
    assert np.array_equal(sample.image.numpy()[0], ramp(6, 8))


def test_fine_spacing_is_averaged_to_the_wanted_one(tmp_path: Path) -> None:
    save_nifti(tmp_path / "in" / "a.nii", np.arange(4 * 8 * 6, dtype=np.int16).reshape(4, 8, 6), (0.5, 1.0, 3.0))
    (sample,) = _make(tmp_path / "in", recipe=Recipe(dimensions=3, min_spacing_mm=1.0))
    assert tuple(sample.image.shape) == (1, 4, 8, 3)


def test_what_cannot_be_used_is_named_in_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    good = save_picture(folder / "good.png", ramp(200, 200))
    (folder / "cut.png").write_bytes(good.read_bytes()[:300])
    save_picture(folder / "flat.png", np.full((5, 5), 7, np.uint8))
    nan = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nan[1, 2, 3] = np.nan
    save_nifti(folder / "nan.nii", nan)
    assert len(_make(folder)) == 3  # the good one and the two whole slices of the volume
    report = [json.loads(line) for line in (tmp_path / "store" / "report.jsonl").read_text().splitlines()]
    assert [(line["path"], line["reason"].split("(")[0]) for line in report] == [
        ("cut.png", "cut.png: truncated or corrupt picture"),
        ("flat.png", "every pixel has the same value"),
        ("nan.nii", "slice 2: it holds values that are not finite "),
    ]


def test_one_image_is_an_archive(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "a.png", ramp())
    store = _make(tmp_path / "in")
    sampler = BalancedSampler(store.groups, 2, seed=0)
    (fetched,) = Prefetcher(store, sampler)
    assert fetched.batch.keys == (store[0].key,) * 2


def test_nothing_storable_says_so(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "flat.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ArchiveError, match=r"none of the 1 images could be stored; see .*report\.jsonl"):
        _make(tmp_path / "in")


def test_labels_come_from_a_table_and_are_nan_where_unknown(tmp_path: Path) -> None:
    for name in "abc":
        save_picture(tmp_path / "in" / f"{name}.png", ramp(start=ord(name)))
    (tmp_path / "labels.csv").write_text("image,nodule,mass\na.png,1,\nb,0,0.5\n")
    store = _make(tmp_path / "in", labels=read_labels(tmp_path / "labels.csv", "image", ("nodule", "mass")))
    batch = collate([store[index] for index in range(3)])
    assert torch.equal(batch.labels["nodule"].nan_to_num(-1), torch.tensor([1.0, 0.0, -1.0]))
    assert torch.equal(batch.labels["mass"].nan_to_num(-1), torch.tensor([-1.0, 0.5, -1.0]))
    assert np.array_equal(store.labels["nodule"], [1, 0, np.nan], equal_nan=True)


def test_a_label_that_is_no_number_says_where(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,nodule\na.png,yes\n")
    with pytest.raises(ArchiveError, match="column 'nodule' holds 'yes'"):
        read_labels(tmp_path / "labels.csv", "image", ("nodule",))


def _pictures(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        save_picture(folder / f"{number:02d}.png", ramp(start=number))
    build_index(folder, folder.parent / "index.parquet")
    return folder.parent / "index.parquet"


SMALL = StoreSettings(shard_pixels=400)


def test_a_stopped_run_goes_on_and_keeps_finished_shards(tmp_path: Path) -> None:
    index = _pictures(tmp_path / "in")

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / "in", index, tmp_path / "store", SMALL, progress=stop)
    with pytest.raises(ArchiveError, match="unfinished"):
        ImageStore(tmp_path / "store")
    kept = (tmp_path / "store" / "shard-00000.arrow").stat().st_mtime_ns
    assert build_store(tmp_path / "in", index, tmp_path / "store", SMALL) == ShardSummary(12, 0)
    assert (tmp_path / "store" / "shard-00000.arrow").stat().st_mtime_ns == kept
    assert [int(sample.image.numpy().min()) for sample in ImageStore(tmp_path / "store")] == list(range(12))


def test_another_recipe_does_not_go_on_with_a_store(tmp_path: Path) -> None:
    index = _pictures(tmp_path / "in")
    build_store(tmp_path / "in", index, tmp_path / "store", SMALL)
    with pytest.raises(ArchiveError, match="a store with other recipe is here"):
        build_store(tmp_path / "in", index, tmp_path / "store", StoreSettings(Recipe(bits=8), shard_pixels=400))


def test_processes_give_the_same_store(tmp_path: Path) -> None:
    index = _pictures(tmp_path / "in")
    build_store(tmp_path / "in", index, tmp_path / "one", SMALL)
    build_store(tmp_path / "in", index, tmp_path / "two", SMALL, workers=2)
    names = sorted(path.name for path in (tmp_path / "one").glob("shard-*"))
    assert len(names) == 12
    assert [(tmp_path / "one" / name).read_bytes() for name in names] == [
        (tmp_path / "two" / name).read_bytes() for name in names
    ]


def test_a_full_disk_keeps_what_was_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = _pictures(tmp_path / "in")
    replace, done = Path.replace, []

    def full(self: Path, target: Path) -> Path:
        if target.name == "shard-00001.arrow" and not done:
            done.append(target)
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ArchiveError, match="the disk is full; the finished shards are kept"):
        build_store(tmp_path / "in", index, tmp_path / "store", SMALL)
    assert not list((tmp_path / "store").glob(".*"))
    assert (tmp_path / "store" / "shard-00000.parquet").exists()
    build_store(tmp_path / "in", index, tmp_path / "store", SMALL)
    assert len(ImageStore(tmp_path / "store")) == 12


def test_a_split_holds_its_patients_alone(tmp_path: Path) -> None:
    _make(mixed(tmp_path / "in"))
    parts = [ImageStore(tmp_path / "store", split) for split in ("train", "validate", "test")]
    patients = [set(part.patients.tolist()) for part in parts]
    assert sum(map(len, parts)) == 12
    assert len(set.union(*patients)) == sum(map(len, patients))
    with pytest.raises(ArchiveError, match="split 'tset'"):
        ImageStore(tmp_path / "store", "tset")


def test_a_damaged_shard_says_so(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "a.png", ramp())
    store = _make(tmp_path / "in")
    (tmp_path / "store" / "shard-00000.arrow").write_bytes(b"nothing")
    with pytest.raises(ArchiveError, match=r"shard-00000\.arrow: missing or damaged"):
        store[0]


def test_a_pickled_store_reads_the_same(tmp_path: Path) -> None:
    store = _make(mixed(tmp_path / "in"))
    first = store[3].image.numpy()
    assert np.array_equal(pickle.loads(pickle.dumps(store))[3].image.numpy(), first)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_the_order_of_the_sampler_whatever_the_workers(tmp_path: Path, workers: int) -> None:
    store = _make(mixed(tmp_path / "in"))
    keys = [tuple(store[index].key for index in batch) for batch in BalancedSampler(store.groups, 3, seed=5)]
    fetched = list(Prefetcher(store, BalancedSampler(store.groups, 3, seed=5), workers=workers))
    assert [item.batch.keys for item in fetched] == keys
    assert all(item.data_wait_s >= 0 for item in fetched)


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_loader_keeps_the_order_too(tmp_path: Path, workers: int) -> None:
    store = _make(mixed(tmp_path / "in"))
    keys = [tuple(store[index].key for index in batch) for batch in BalancedSampler(store.groups, 3, seed=5)]
    sampler = BalancedSampler(store.groups, 3, seed=5)
    before = torch.random.get_rng_state()
    loader = DataLoader(
        store,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        generator=torch.Generator(),
        multiprocessing_context="spawn" if workers else None,
    )
    assert [batch.keys for batch in loader] == keys
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_position_is_that_of_what_was_handed_out_not_read_ahead(tmp_path: Path, workers: int) -> None:
    store = _make(mixed(tmp_path / "in"))

    def feed(sampler: BalancedSampler) -> Prefetcher:
        return Prefetcher(store, sampler, workers=workers, ahead=3)

    whole = [item.batch.keys for item in islice(feed(BalancedSampler(store.groups, 3, seed=5, infinite=True)), 9)]
    killed = BalancedSampler(store.groups, 3, seed=5, infinite=True)
    seen = list(islice(feed(killed), 4))
    assert seen[-1].position == killed.state_dict()
    resumed = BalancedSampler(store.groups, 3, seed=5, infinite=True)
    resumed.load_state_dict(killed.state_dict())
    assert [item.batch.keys for item in islice(feed(resumed), 5)] == whole[4:]


def test_a_store_of_another_group_column_is_balanced_by_it(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in")
    build_index(folder, tmp_path / "index.parquet", Settings(body_part="HEAD"))
    build_store(folder, tmp_path / "index.parquet", tmp_path / "store", StoreSettings(group_by="body_part"))
    assert ImageStore(tmp_path / "store").group_names == ("CHEST", "HEAD")
    with pytest.raises(ArchiveError, match="cannot group by 'colour'"):
        build_store(folder, tmp_path / "index.parquet", tmp_path / "b", StoreSettings(group_by="colour"))
