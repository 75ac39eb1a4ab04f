"""The order of samples: balanced, disjoint over processes, the same after a resume at any step."""

from itertools import chain, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretraining.data.errors import ArchiveError
from pretraining.data.sampler import BalancedSampler

GROUPS = st.lists(st.integers(0, 3), min_size=1, max_size=60)


def _take(sampler: BalancedSampler, count: int) -> list[list[int]]:
    return list(islice(iter(sampler), count))


@settings(max_examples=50)
@given(
    GROUPS,
    st.integers(1, 9),
    st.integers(1, 4),
    st.tuples(st.integers(0, 99), st.integers(0, 999)),
    st.integers(0, 2**31),
)
def test_every_global_batch_is_balanced_and_split_without_overlap(
    groups: list[int], batch: int, world: int, positions: tuple[int, int], seed: int
) -> None:
    batch += 4  # never fewer than the groups
    parts = [BalancedSampler(groups, batch, seed=seed, rank=rank, world=world) for rank in range(world)]
    whole = BalancedSampler(groups, batch * world, seed=seed)
    for position in positions:
        shares = [part.indices(position) for part in parts]
        assert [len(share) for share in shares] == [batch] * world
        joint = [index for share in shares for index in share]
        assert sorted(joint) == sorted(whole.indices(position))
        counts = [sum(groups[index] == group for index in joint) for group in set(groups)]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=50)
@given(GROUPS, st.integers(4, 12), st.integers(0, 20), st.integers(1, 3), st.integers(0, 2**31))
def test_resuming_at_any_step_gives_the_order_of_the_uninterrupted_run(
    groups: list[int], batch: int, stop: int, world: int, seed: int
) -> None:
    rank = world - 1
    uninterrupted = _take(BalancedSampler(groups, batch, seed=seed, rank=rank, world=world, infinite=True), stop + 5)
    killed = BalancedSampler(groups, batch, seed=seed, rank=rank, world=world, infinite=True)
    _take(killed, stop)
    resumed = BalancedSampler(groups, batch, seed=seed, rank=rank, world=world, infinite=True)
    resumed.load_state_dict(killed.state_dict())
    assert _take(resumed, 5) == uninterrupted[stop:]


@settings(max_examples=50)
@given(GROUPS, st.integers(4, 9), st.integers(0, 2**31))
def test_a_group_repeats_no_sample_before_all_have_been_seen(groups: list[int], batch: int, seed: int) -> None:
    sampler = BalancedSampler(groups, batch, seed=seed, infinite=True)
    seen = [index for indices in _take(sampler, 30) for index in indices]
    for group in set(groups):
        counts = [seen.count(index) for index in range(len(groups)) if groups[index] == group]
        assert max(counts) - min(counts) <= 1


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 30))
def test_another_world_size_goes_on_where_the_walk_stood(old: int, new: int, steps: int) -> None:
    groups = [0, 1] * 20
    before = BalancedSampler(groups, 2, seed=3, world=old, infinite=True)
    _take(before, steps)
    after = [BalancedSampler(groups, 2, seed=3, rank=rank, world=new, infinite=True) for rank in range(new)]
    for part in after:
        part.load_state_dict(before.state_dict())
    batches = [_take(part, 4) for part in after]
    place = steps * 2 * old
    walk = BalancedSampler(groups, 8 * new, seed=3).indices(place)
    assert sorted(index for part in batches for batch in part for index in batch) == sorted(walk)
    assert [part.position for part in after] == [place + 8 * new] * new


def test_an_epoch_ends_and_the_next_has_another_order() -> None:
    sampler = BalancedSampler([0] * 12, 4, seed=1)
    first, second = list(sampler), list(sampler)
    assert (len(first), len(second), sampler.epoch) == (3, 3, 2)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(12))
    assert first != second


def test_an_interrupted_epoch_goes_on_to_its_end() -> None:
    sampler = BalancedSampler([0] * 12, 4, seed=1)
    first = list(islice(iter(sampler), 2))
    resumed = BalancedSampler([0] * 12, 4, seed=1)
    resumed.load_state_dict(sampler.state_dict())
    assert first + list(resumed) == list(BalancedSampler([0] * 12, 4, seed=1))


def test_a_batch_smaller_than_the_groups_says_so() -> None:
    with pytest.raises(ArchiveError, match=r"holds 2 samples, fewer than the 3 groups"):
        BalancedSampler([0, 1, 2], 2, seed=0)


def test_no_samples_say_so() -> None:
    with pytest.raises(ArchiveError, match="no samples"):
        BalancedSampler([], 2, seed=0)


def test_a_checkpoint_of_another_store_is_refused() -> None:
    state = BalancedSampler([0] * 10, 2, seed=0).state_dict()
    with pytest.raises(ArchiveError, match="samples 10, this one 11"):
        BalancedSampler([0] * 11, 2, seed=0).load_state_dict(state)


def test_one_image_fills_every_batch() -> None:
    assert BalancedSampler([5], 3, seed=0).indices(0) == [0, 0, 0]
