from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import ModelError
from volproc.grid.box import Box, whole_box
from volproc.model.foreign.torch_formats import TorchModule
from volproc.model.network import Network
from volproc.stages.inference import batches
from volproc.stages.inference.batches import (
    GOOD_CALLS,
    BatchLimit,
    fitting_pixels,
    halves,
    in_batches,
    requested_tiles,
)
from volproc.stages.inference.device_link import is_out_of_memory
from volproc.stages.inference.layout import lay_out
from volproc.stages.inference.tiling import Tile, along

HALO, STRIDE = 16, 8
FULL = (MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"))


@pytest.fixture
def tiles():
    layout = lay_out((24, 96, 64), halo=HALO, stride=STRIDE, slices_in=6, slices_out=4)
    return layout, list(layout.tiles(whole_box(layout.shape), "z"))


def pixels(one):
    return prod(along(one.axis, one.window.shape)[1:])


def done(tiles, *, fits, limit, error=FULL[1]):
    """What a network of so little memory is asked, and which voxels it answers."""
    asked, answered = [], []

    def answer(some):
        asked.append(len(some))
        if sum(map(pixels, some)) > fits:
            raise error
        answered.extend(some)

    in_batches(tiles, answer, limit=limit, halo=HALO, stride=STRIDE)
    return asked, answered


def covered(layout, answered):
    seen = np.zeros(layout.shape, dtype=int)
    for one in answered:
        seen[one.output.clip(whole_box(layout.shape)).slices] += 1
    return seen


@pytest.mark.parametrize("error", FULL)
def test_fewer_tiles_are_asked_after_memory_ran_out(tiles, error):
    layout, todo = tiles
    limit = BatchLimit(tiles=6, pixels=10**9)
    asked, answered = done(todo, fits=2 * pixels(todo[0]), limit=limit, error=error)
    assert asked[:3] == [6, 3, 1]
    assert answered == todo
    assert (covered(layout, answered) == 1).all()


def test_the_worker_remembers(tiles):
    _, todo = tiles
    limit = BatchLimit(tiles=8, pixels=10**9)
    done(todo, fits=2 * pixels(todo[0]), limit=limit)
    asked, _ = done(todo, fits=2 * pixels(todo[0]), limit=limit)
    assert set(asked) == {1}


@given(share=st.floats(0.5, 0.99), axis=st.sampled_from("zyx"))
def test_smaller_tiles_last_answer_every_voxel_once(share, axis):
    layout = lay_out((70, 96, 64), halo=HALO, stride=STRIDE, slices_in=6, slices_out=4)
    todo = list(layout.tiles(whole_box(layout.shape), axis))
    limit = BatchLimit(tiles=2, pixels=10**9)
    _, answered = done(todo, fits=share * max(map(pixels, todo)), limit=limit)
    assert len(answered) > len(todo)
    assert (covered(layout, answered) == 1).all()


def test_a_half_sees_what_the_whole_tile_sees(tiles):
    _, (whole, *_) = tiles
    parts = halves(whole, halo=HALO, stride=STRIDE)
    assert {pixels(part) < pixels(whole) for part in parts} == {True}
    for part in parts:
        for n in (1, 2):
            assert part.window.start[n] <= max(whole.window.start[n], part.output.start[n] - HALO)
            assert part.window.stop[n] >= min(whole.window.stop[n], part.output.stop[n] + HALO)
            assert part.window.start[n] % STRIDE == part.window.stop[n] % STRIDE == 0


def test_a_tile_that_can_be_no_smaller_is_an_error_in_one_line(tiles):
    _, todo = tiles
    with pytest.raises(ModelError, match=r"no memory for one tile of \d+ x \d+ pixels, the small"):
        done(todo, fits=0, limit=BatchLimit(tiles=4, pixels=10**9))


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiles):
    _, todo = tiles
    with pytest.raises(ZeroDivisionError):
        done(todo, fits=0, limit=BatchLimit(tiles=4, pixels=10**9), error=ZeroDivisionError())


@pytest.mark.parametrize(
    ("error", "full"),
    [
        *((error, True) for error in FULL),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
            ),
            True,
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), True),
        (RuntimeError("Sizes of tensors must match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_told_apart(error, full):
    assert is_out_of_memory(error) == full


@pytest.mark.parametrize(("error", "full"), [(FULL[1], True), (RuntimeError("sizes"), False)])
def test_lack_of_memory_in_a_foreign_network_is_told_apart(error, full):
    def module(values):
        raise error

    foreign = TorchModule(module, "net.pt", 0, ())
    with pytest.raises(ModelError) as raised:
        foreign(torch.zeros(1))
    assert is_out_of_memory(raised.value) == full


def test_a_halved_limit_grows_back_to_what_it_was(tiles):
    """A neighbour took the memory for one call, and gave it back."""
    _, (one, *_) = tiles
    whole = 8 * pixels(one)
    limit = BatchLimit(tiles=8, pixels=whole)
    limit.halve([one] * 4)
    assert limit.at_once(one) == 2
    found = [done([one], fits=whole, limit=limit) and limit.pixels for _ in range(4 * GOOD_CALLS)]
    assert found[GOOD_CALLS - 2] == whole // 4
    assert found[GOOD_CALLS - 1] == whole // 2
    assert found[-1] == whole


class Costly(Network):
    """A network of 1000 bytes a pixel."""

    def flop(self, height, width):
        return 0

    def activation_bytes(self, height, width):
        return 1000 * height * width

    constants_from = load = None


COSTLY = Costly(
    name="a", source="", voxel_nm=(1, 1, 1), slices_in=1, slices_out=1, halo=0, stride=1, digest="a"
)


def test_a_portion_follows_from_the_free_memory():
    assert fitting_pixels(COSTLY, 10**9) == 1_000_000
    assert fitting_pixels(COSTLY, 1) == 0
    assert requested_tiles("cpu", 0) == 1
    assert requested_tiles("cpu", 3) == requested_tiles("cuda", 3) == 3


@pytest.mark.parametrize(("free", "pixels"), [(10**9, 800_000), (10**12, 2**22), (0, 0)])
def test_a_worker_has_one_portion_per_network(monkeypatch, free, pixels):
    """From the memory that is free at first; others find the limit that it was halved to."""
    monkeypatch.setattr(batches, "free_bytes", lambda: free)
    monkeypatch.setattr(batches, "_limits", {})
    first = batches.batch_limit(COSTLY, "cuda", requested=0)
    assert first.pixels == pixels
    assert batches.batch_limit(COSTLY, "cuda", requested=0) is first
    assert batches.batch_limit(replace(COSTLY, digest="c"), "cuda", requested=0) is not first
    assert first.tiles == 2**22  # 512 channels of them are 2^31 values, the most of a tensor
    host = batches.batch_limit(COSTLY, "cpu", requested=0)
    assert (host.tiles, host.pixels) == (1, 2**31 // 1000)


def test_a_network_that_costs_next_to_nothing_counts_a_byte_a_pixel():
    assert fitting_pixels(Free(**COSTLY.__dict__), 1000) == 1000


class Free(Costly):
    """A network whose planes of 64 strides take half a byte a pixel, and others far more."""

    def activation_bytes(self, height, width):
        return 64 * 64 // 2 if height == width == 64 else 10**12


def seen(window, answer):
    """A pass along z of 4 planes, by its ends along y and x."""
    ends = [Box(*((z, y, x) for z, y, x in zip((a, b), *sides, strict=True)))
            for (a, b), sides in (((-1, 5), window), ((0, 4), answer))]  # fmt: skip
    return Tile("z", *ends)


def test_halves_are_cut_in_the_middle_of_the_longer_side():
    """At a multiple of the stride, 8; the halo of 16 on either side of the cut."""
    whole = seen(((-8, 104), (-8, 72)), ((0, 96), (0, 64)))
    assert halves(whole, halo=16, stride=8) == (
        seen(((-8, 64), (-8, 72)), ((0, 48), (0, 64))),
        seen(((32, 104), (-8, 72)), ((48, 96), (0, 64))),
    )
    uneven = seen(((-8, 72), (-8, 88)), ((0, 64), (8, 80)))
    assert halves(uneven, halo=16, stride=8) == (
        seen(((-8, 72), (-8, 64)), ((0, 64), (8, 48))),
        seen(((-8, 72), (32, 88)), ((0, 64), (48, 80))),
    )


def test_the_shorter_side_is_cut_where_the_longer_does_not_help():
    """8 voxels along y can be no shorter; of 16 along x a half would see them all."""
    whole = seen(((-96, 104), (-8, 72)), ((0, 8), (0, 64)))
    assert halves(whole, halo=16, stride=8) == (
        seen(((-96, 104), (-8, 48)), ((0, 8), (0, 32))),
        seen(((-96, 104), (16, 72)), ((0, 8), (32, 64))),
    )
    assert halves(seen(((-96, 104), (-8, 24)), ((0, 8), (0, 16))), halo=16, stride=8) is None
    assert halves(seen(((-96, 104), (0, 40)), ((0, 8), (0, 24))), halo=16, stride=8) is None


def test_a_portion_counts_tiles_and_pixels():
    one = seen(((0, 30), (0, 40)), ((0, 30), (0, 40)))
    assert [BatchLimit(5, n).at_once(one) for n in (10**9, 3600, 3599, 1199)] == [5, 3, 2, 0]
    limit = BatchLimit(5, 10**9)
    limit.halve([one, one, one])
    assert (limit.tiles, limit.pixels) == (5, 1800)


def test_only_tiles_that_see_and_answer_alike_go_together():
    """Of the same window's shape, and the same part of it answered."""
    a = seen(((0, 32), (0, 32)), ((0, 16), (0, 16)))
    moved = seen(((32, 64), (0, 32)), ((32, 48), (0, 16)))
    other = seen(((0, 32), (0, 32)), ((16, 32), (0, 16)))
    wider = seen(((0, 40), (0, 32)), ((0, 16), (0, 16)))
    asked, answered = done([a, moved, other, wider, a], fits=10**9, limit=BatchLimit(3, 10**9))
    assert asked == [2, 1, 1, 1]
    assert answered == [a, moved, other, wider, a]
