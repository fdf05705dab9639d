import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import ModelError
from volproc.grid.blocks import Tiling
from volproc.grid.box import (
    Box,
    whole_box,
)
from volproc.model.resolver import open_network
from volproc.stages.inference.layout import lay_out
from volproc.stages.predict import seam_places
from volproc.stages.predict.seam_places import places_in
from volproc.volume.file_io import sibling
from volproc.volume.store import open_volume


@pytest.fixture(autouse=True)
def small_places(monkeypatch):
    """Places of 16 voxels: several fit into a small volume."""
    monkeypatch.setattr(seam_places, "SIDE", 16)


def certificate(plan):
    with open(sibling(plan.output.url, "-certificate.json")) as file:
        return json.load(file)


@given(
    shape=st.tuples(*[st.integers(1, 90)] * 3),
    tile=st.tuples(*[st.integers(1, 60)] * 3),
    stride=st.sampled_from([1, 4, 8]),
    seed=st.integers(0, 2**64),
)
def test_places_lie_across_borders_and_elsewhere(shape, tile, stride, seed):
    layout = lay_out(shape, halo=stride, stride=stride, slices_in=3, slices_out=1, tile=tile)
    blocks = Tiling(shape, layout.tile)
    places = places_in(layout, blocks, count=6, seed=seed)
    assert places == places_in(layout, blocks, count=6, seed=seed)
    assert len(places) == 6
    for place in places:
        assert place.core.size
        assert whole_box(shape).contains(place.core)
        assert all(a % stride == 0 for a in (*place.core.start, *place.layout.offset))
        if place.kind == "border":
            ends = zip(place.core.start, place.core.stop, layout.tile, strict=True)
            assert any(a // t != (b - 1) // t for a, b, t in ends)
            answers = {one.output for one in place.layout.tiles(place.core, "z")}
            assert len({(a.start[1:], a.stop[1:]) for a in answers}) == 1
    across = [place.kind for place in places[::2]]
    assert across == ["border" if len(blocks) > 1 else "elsewhere"] * 3


@given(
    origin=st.tuples(*[st.integers(0, 40)] * 3),
    size=st.tuples(*[st.integers(1, 50)] * 3),
    tile=st.tuples(*[st.integers(1, 60)] * 3) | st.none(),
    stride=st.sampled_from([1, 4, 8]),
    seed=st.integers(0, 2**64),
)
def test_places_in_a_box_lie_inside_of_it(origin, size, tile, stride, seed):
    """Counted from the box, with tiles that begin on a multiple of the stride."""
    box = Box(origin, tuple(a + n for a, n in zip(origin, size)))
    how = {"halo": stride, "stride": stride, "slices_in": 3, "slices_out": 1}
    layout = lay_out((90, 90, 90), tile=tile, box=box, **how)
    blocks = Tiling(size, (16, 16, 16))
    for place in places_in(layout, blocks, count=6, seed=seed, origin=origin):
        assert place.core.size
        assert whole_box(size).contains(place.core)
        assert all(a % stride == 0 for a in place.layout.offset)
        if place.kind == "border":
            core = place.core.shift(origin)
            tiles = zip(core.start, core.stop, layout.tile, layout.offset, strict=True)
            cut = [(a - o) // t != (b - 1 - o) // t for a, b, t, o in tiles]
            parts = zip(place.core.start, place.core.stop, blocks.core, strict=True)
            assert any(cut) or any(a // t != (b - 1) // t for a, b, t in parts)


@pytest.mark.parametrize("votes", [True, False])
@pytest.mark.parametrize("fusion", ["mean", "union"])
def test_the_exact_halo_passes(small, predict, votes, fusion):
    plan, _ = predict(small, seam_check=6, votes=votes, fusion=fusion)
    found = certificate(plan)
    assert found["passed"] is True
    assert found["largest"] <= found["tolerance"] == 1
    assert (found["places"], found["borders"], found["skipped"]) == (6, 3, 0)
    assert found["changed"] == 0
    assert found["voxels"] > 16**3


@pytest.mark.parametrize("votes", [True, False])
def test_a_card_that_lies_about_how_far_its_network_sees_is_caught(
    small, predict, tiny_model, votes
):
    """The prediction is kept, and the next run without a certificate goes on from there."""
    lying = replace(open_network(str(tiny_model)), halo=4)
    said = r"is kept, but not certified: with other tiles its votes differ by up to (\d+) of 255"
    with pytest.raises(ModelError, match=said) as caught:
        predict(small, seam_check=6, votes=votes, network=lying)
    assert "Model tiny sees further than the halo of its tiles: give a larger" in str(caught.value)
    plan, _ = predict(small, votes=votes, network=lying)
    found = certificate(plan)
    assert found["passed"] is False
    assert found["largest"] > 1
    assert found["mean"] > 0
    assert open_volume(plan.output.url).read(plan.output.box).std() > 5


def test_the_published_network_is_certified_with_its_halo_and_not_with_less(
    small, predict, small_etchacell
):
    model = str(small_etchacell)
    plan, _ = predict(small, model=model, seam_check=4)
    assert certificate(plan)["passed"] is True
    with pytest.raises(ModelError, match="Model etchacell sees further than the halo"):
        predict(small, "short", model=model, seam_check=4, halo=8)


def test_the_certificate_measures_what_is_on_disk(small, predict):
    """Votes written over with others are noticed, although nothing is wrong with the tiles."""
    plan, made = predict(small)
    made.write(made.info.box, 255 - made.read(made.info.box))
    _, again = predict(small, seam_check=4)
    found = certificate(plan)
    assert again.info.url == made.info.url
    assert found["largest"] <= 1
    assert found["changed"] > 0.9


def test_the_published_overlap_is_measured_but_no_error(save_volume, noise, predict):
    values = np.concatenate([noise[:6, :70, :24]] * 2, axis=1)
    image = save_volume("image.zarr", values)
    plan, _ = predict(image, halo="reference", tile=None, axes="z", seam_check=2)
    found = certificate(plan)
    assert found["passed"] is None
    assert found["halo"] == "reference"


def test_what_skipping_lost_is_noticed(small, predict):
    """A rule so coarse that it skips everything: half of a random network's answer is lost."""
    with pytest.raises(ModelError, match=r"not certified: [\d.]+% of the voxels looked at in skip"):
        predict(small, skip_empty_std=1000, seam_check=4)
    plan = predict(small, skip_empty_std=1000, plan_only=True)
    found = certificate(plan)
    assert (found["skipped"], found["largest"], found["passed"]) == (4, 0, False)
    assert found["skipped_changed"] > 0.01


def test_a_certificate_is_planned_like_any_step(small, predict):
    *_, step = predict(small, seam_check=5, plan_only=True).steps
    assert (step.name, len(step.blocks)) == ("certify", 5)
    assert min(step.flop, step.bytes_read, step.peak_bytes) > 0
    without = predict(small, plan_only=True)
    assert without.digest == predict(small, seam_check=5, plan_only=True).digest
    assert [step.name for step in without.steps if step.name == "certify"] == []
