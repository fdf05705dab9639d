"""Kernels that cupy computes: with numpy and scipy, and on a GPU, real or simulated."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulated_gpu.streams import SimulatedFault

from volproc.errors import MemoryLimitError
from volproc.grid.box import Box
from volproc.grid.scale import parse_voxel_nm
from volproc.stages import array_namespace
from volproc.stages.array_namespace import namespace_of, run_on
from volproc.stages.filter.filter_steps import parse_step
from volproc.stages.filter.operations import filtered, halo_of
from volproc.stages.interior.envelope_distance import near, squared_nm, with_envelope
from volproc.stages.interior.geodesic_growth import FREE, INSIDE, OUTSIDE, WALL, grown
from volproc.stages.scores.nearest import Nearest

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cupy")]

SIZES = [(50, 40, 40), (50, 10, 10), (0.1, 0.2, 0.3), (50, 7.9, 8.3)]
seeds, sizes = st.integers(0, 2**32), st.sampled_from(SIZES)


def both(kernel, *values, **options):
    """What a kernel makes of arrays on the CPU and on the GPU."""
    found = [run_on(device, kernel, *values, **options) for device in ("cpu", "cuda")]
    assert [type(one) for one in found] == [np.ndarray] * 2
    assert found[0].dtype == found[1].dtype
    return found


def test_a_gpus_array_never_becomes_one_of_numpy_unasked(gpu):
    """Else a kernel that mixes them would copy back and forth, without a word."""
    kernels = (
        np.asarray,
        lambda a: a + np.ones(3),
        lambda a: np.ones(3) < a,
        lambda a: namespace_of(a).xp.minimum(a, np.ones(3)),
        lambda a: namespace_of(np.ones(3)).ndimage.median_filter(a, 3),
    )
    for mixed in kernels:
        with pytest.raises(TypeError):
            run_on("cuda", mixed, np.arange(3))


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u2", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_goes_there_and_back(dtype):
    values = (np.arange(24).reshape(2, 3, 4) % 5).astype(dtype)
    frozen = values.copy()
    frozen.flags.writeable = False
    for given_ in (values, values[:, ::2], values.T, frozen):
        found = run_on("cuda", lambda a: a, given_)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, given_)


@given(seed=seeds, size=sizes, share=st.floats(0, 4))
@settings(max_examples=30)
def test_distances_have_the_same_bits(seed, size, share):
    mask = np.random.default_rng(seed).random((7, 9, 8)) > 0.95
    found = both(squared_nm, mask, voxel_nm=parse_voxel_nm(size), reach_nm=share * max(size))
    np.testing.assert_array_equal(*found)


@given(seed=seeds, size=sizes)
@settings(max_examples=10)
def test_a_block_with_its_halo_is_near_what_the_whole_is(seed, size):
    rng = np.random.default_rng(seed)
    mask, core = rng.random((14, 16, 18)) > 0.99, Box((5, 4, 6), (9, 11, 12))
    read = core.grow((4, 4, 4)).clip(Box((0, 0, 0), mask.shape))
    how = {"voxel_nm": parse_voxel_nm(size), "reach_nm": 4 * min(size)}
    whole, part = (run_on("cuda", near, one, **how) for one in (mask, mask[read.slices]))
    np.testing.assert_array_equal(part[core.within(read.start).slices], whole[core.slices])


@given(seed=seeds, size=sizes, reach=st.floats(0, 12))
@settings(max_examples=30)
def test_growth_has_the_same_bits(seed, size, reach):
    rng, states = np.random.default_rng(seed), [FREE, INSIDE, OUTSIDE, WALL]
    values = rng.choice(states, (6, 9, 8), p=[0.66, 0.02, 0.02, 0.3]).astype("u1")
    found = both(grown, values, voxel_nm=parse_voxel_nm(size), reach_nm=reach * max(size))
    np.testing.assert_array_equal(*found)


def test_growth_goes_around_every_corner_within_reach():
    """A path with as many turns as there are voxels: no round may be left out."""
    maze = np.full((1, 9, 9), WALL, np.uint8)
    maze[0, ::2] = FREE
    maze[0, 1::4, -1] = maze[0, 3::4, 0] = FREE
    maze[0, 0, 0] = INSIDE
    path = 9 * 5 + 4 - 1
    for reach in (path - 1, path):
        cpu, gpu = both(grown, maze, voxel_nm=parse_voxel_nm((1, 1, 1)), reach_nm=reach)
        np.testing.assert_array_equal(cpu, gpu)
        assert (gpu == FREE).sum() == path - reach


@given(seed=seeds, size=sizes, reach=st.floats(0, 3), dtype=st.sampled_from(["u4", "u8"]))
@settings(max_examples=30)
def test_envelopes_go_to_the_same_interiors(seed, size, reach, dtype):
    rng, shape = np.random.default_rng(seed), (6, 9, 8)
    ids = np.where(rng.random(shape) > 0.97, rng.integers(1, 5, shape), 0).astype(dtype)
    how = {"voxel_nm": parse_voxel_nm(size), "reach_nm": reach * max(size)}
    np.testing.assert_array_equal(*both(with_envelope, ids, rng.random(shape) > 0.4, **how))


@given(seed=seeds, nm=st.sampled_from([(50.0, 7.9, 8.3), (30.0, 30.0, 30.0), (5.0, 5.0)]))
@settings(max_examples=20)
def test_surfaces_are_as_far_from_one_another(seed, nm):
    rng = np.random.default_rng(seed)
    here, there = (rng.integers(-4, 20, (rng.integers(most), len(nm))) for most in (400, 9))
    here, there = here.astype("i4"), there.astype("i4")
    found = [
        Nearest(there, nm=nm, most_nm=60.0, device=device).distances(here)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("text", ["median 30", "median 120"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "f4", "f8"])
def test_a_median_has_the_same_bits(noise, text, dtype):
    step = (parse_step(text),)
    values = (noise[:12, :40, :40].astype("f8") * 3.7).astype(dtype)
    np.testing.assert_array_equal(
        *both(filtered, values, steps=step, voxel_nm=parse_voxel_nm((50, 10, 12.5)))
    )


MEANS = ["gaussian 15", "unsharp 20 amount=1.5", "destripe 150 length=400"]


def means(noise, text, dtype):
    """A mean of values up to 65535 on the CPU and on the GPU."""
    step, nm = (parse_step(text),), parse_voxel_nm((50, 10, 12.5))
    values = np.pad(noise, [(n, n) for n in halo_of(step, nm)], mode="reflect").astype(dtype)
    return both(filtered, values * 257, steps=step, voxel_nm=nm)


@pytest.mark.parametrize("text", MEANS)
@pytest.mark.parametrize(("dtype", "bits"), [("f4", 1), ("f8", 8)])
def test_means_differ_by_last_bits_of_a_float_at_most(noise, text, dtype, bits):
    cpu, gpu = means(noise, text, dtype)
    assert np.abs(cpu - gpu).max() <= bits * np.finfo(dtype).eps * 2**16
    if dtype == "f4":
        assert (cpu == gpu).mean() > 0.99


@pytest.mark.parametrize("text", MEANS)
def test_whole_numbers_of_means_are_the_same_but_for_halves(noise, text):
    """Of 16 bits: sums in 32 bits would not do, nor does cupyx add up in more unasked."""
    cpu, gpu = (one.astype(int) for one in means(noise, text, "u2"))
    assert np.abs(cpu - gpu).max() <= 1
    assert (cpu != gpu).mean() < 3e-5


def test_cupy_takes_torchs_memory_and_gives_it_back(gpu):
    before = torch.cuda.memory_allocated()
    seen = []

    def kernel(values):
        held = values + 1
        seen.append(torch.cuda.memory_allocated() - before)
        return held + 1

    assert run_on("cuda", kernel, np.zeros(2**16, "f4")).sum() == 2**17
    assert seen[0] >= 2 * 2**18  # what went there, and the sum
    assert torch.cuda.memory_allocated() == before


def test_a_block_that_is_too_large_is_said_in_one_line(gpu):
    def too_large(values):
        return namespace_of(values).xp.zeros(2**40, "f8")

    with pytest.raises(MemoryLimitError, match=r"too_large of 3 x 4 voxels does not fit") as said:
        run_on("cuda", too_large, np.ones((3, 4)))
    assert 'take device = "cpu"' in str(said.value)
    assert "\n" not in str(said.value)


def test_another_stream_or_pool_is_noticed(gpu, cupy):
    """What the simulation is there for: without `_beside_torch` nothing works."""
    if gpu is None:
        pytest.skip("a real GPU says nothing of it")
    with pytest.raises(SimulatedFault, match="another stream"):
        cupy.zeros(3)
    with (
        pytest.raises(SimulatedFault, match="a pool of its own"),
        cupy.cuda.Stream.from_external(
            array_namespace._TorchStream(torch.cuda.current_stream().cuda_stream)
        ),
    ):
        cupy.zeros(3)


def test_cupy_follows_torch_to_another_stream(gpu):
    with torch.cuda.stream(torch.cuda.Stream()):
        assert run_on("cuda", lambda a: a + 1, np.ones(3)).tolist() == [2, 2, 2]
