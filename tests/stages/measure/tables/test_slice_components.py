import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from volproc.grid.blocks import Tiling
from volproc.stages.measure.tables.slice_components import block_components, slice_counts
from volproc.stages.objects.runs import runs_of

shapes = st.tuples(*[st.integers(1, 9)] * 3)


def in_blocks(labels, core):
    tiling = Tiling(labels.shape, core)
    parts = [
        block_components(runs_of(labels[block.core.slices]), first=block.core.start[0])
        for block in tiling
    ]
    return slice_counts(
        tiling,
        places=lambda index: parts[index].places,
        side=lambda index, step: parts[index].sides[step],
    )


@given(st.integers(0, 2**32), shapes, shapes, st.sampled_from([0.3, 0.6, 0.95]))
@settings(max_examples=80)
def test_they_are_the_components_of_each_slice_in_any_blocks(seed, shape, core, share):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(shape) < share, rng.integers(1, 4, shape) * 7, 0).astype("u4")
    found = in_blocks(labels, core)
    expected = {}
    for number in np.unique(labels[labels > 0]).tolist():
        counts = [ndimage.label(plane == number, np.ones((3, 3)))[1] for plane in labels]
        shown = [count for count in counts if count]
        expected[number] = (len(shown), sum(shown), max(shown))
    rows = zip(found.slices.tolist(), found.components.tolist(), found.most.tolist())
    assert dict(zip(found.ids.tolist(), rows)) == expected


def test_a_ring_through_all_blocks_is_one_component():
    labels = np.zeros((1, 12, 12), "u4")
    labels[0, 2:10, 2:10] = 5
    labels[0, 4:8, 4:8] = 0
    found = in_blocks(labels, (1, 3, 3))
    counts = (found.slices, found.components, found.most)
    assert [one.tolist() for one in counts] == [[1], [1], [1]]
