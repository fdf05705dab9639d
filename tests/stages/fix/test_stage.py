"""The edited volume: base labels relabelled block by block, and nothing else written."""

import numpy as np
from tests.stages.fix.conftest import VOXEL_NM, blobs

from volproc.stages.edits.requests import EditRequest


def test_a_merge_a_delete_and_a_split(edited_run):
    values = blobs()
    run = edited_run(values)
    base = run.values("objects.zarr")
    assert set(np.unique(base)) >= {1, 2, 3, 4}
    at = [tuple((np.argwhere(base == 4)[k] + 0.5) * VOXEL_NM) for k in (0, -1)]
    session = run.session
    session.append(
        [
            EditRequest(do="merge", objects=(2, 1)),
            EditRequest(do="delete", objects=3),
            EditRequest(do="split", objects=4, parts=[[at[0]], [at[1]]]),
        ]
    )
    run.fix()
    found = run.values()
    assert (found[base == 2] == 1).all()
    assert (found[base == 3] == 0).all()
    assert set(np.unique(found[base == 4])) == {4, base.max() + 1}
    others = ~np.isin(base, [1, 2, 3, 4])
    assert (found[others] == base[others]).all()
