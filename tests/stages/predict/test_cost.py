from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volproc import PredictOptions
from volproc.grid.scale import parse_voxel_nm
from volproc.model.normalisation import Normalisation
from volproc.stages.predict.cost import cost_of, costs_of
from volproc.stages.predict.stage import plan_predict
from volproc.volume.metadata import new_volume

sides = st.tuples(*[st.integers(24, 150)] * 3)
some = st.tuples(*[st.sampled_from([16, 24, 32, 40, 64])] * 3)
sizes = st.sampled_from([(50, 50, 50), (50, 37, 41.5), (62, 50, 33), (20, 90, 50)])


@settings(max_examples=25, deadline=None)
@given(
    shape=sides,
    block=some,
    tile=st.none() | some,
    voxel_nm=sizes,
    axes=st.sampled_from(["zyx", "yx", "z"]),
    halo=st.sampled_from(["exact", 8]),
    box=st.sampled_from(["", "20", "3:20,1:23,5:24"]),
)
def test_kinds_of_blocks_cost_what_all_blocks_cost(shape, block, tile, voxel_nm, axes, halo, box):
    image = new_volume("i.zarr", shape=shape, voxel_nm=parse_voxel_nm(voxel_nm), dtype="uint16")
    options = PredictOptions(block=block, tile=tile, axes=axes, halo=halo, box=box)
    plan = plan_predict(image, "p.zarr", options, votes_url="v.zarr")
    task = plan.task(Normalisation(0.0, 1.0))
    walked = Counter(cost_of(block.core, task) for block in plan.blocks)
    found: Counter[object] = Counter()
    for count, cost in costs_of(plan.blocks, task):
        found[cost] += count
    assert found == walked


@pytest.mark.parametrize("side", [700, 1400])
def test_a_larger_volume_has_no_more_kinds_of_blocks(side):
    image = new_volume(
        "i.zarr", shape=(side,) * 3, voxel_nm=parse_voxel_nm((50, 50, 50)), dtype="uint8"
    )
    plan = plan_predict(image, "p.zarr", PredictOptions(block=(64, 64, 64), tile=(64, 64, 64)))
    kinds = list(costs_of(plan.blocks, plan.task(Normalisation(0.0, 1.0))))
    assert sum(count for count, _ in kinds) == len(plan.blocks)
    assert len(kinds) <= 5**3
