"""What is written is what `annotate` reads: the same strokes, slices, people and absent votes."""

import numpy as np
import pytest
from tests.stages.crowd.shapes import disc

from volproc import AnnotateOptions, CrowdOptions
from volproc.engine.run import Runner
from volproc.engine.serial import SerialEngine
from volproc.grid.box import whole_box
from volproc.stages.annotate.export.slice_locator import SliceLocator
from volproc.stages.annotate.export.zooniverse import Classification, read_export
from volproc.stages.crowd.simulated_votes import draw
from volproc.stages.crowd.stage import plan_crowd, run_crowd
from volproc.stages.crowd.visible_outlines import trace
from volproc.stages.crowd.volunteers import panel, volunteers

SHAPE = (6, 161, 200)
NM = (20.0, 20.0)


@pytest.mark.parametrize("classifier", [1, 2])
def test_annotate_reads_the_strokes_that_were_drawn(tmp_path, save_volume, classifier):
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[2:5, disc(SHAPE[1:], (80, 90), 50)] = 1
    truth = save_volume("cell.zarr", values, voxel_nm=(50, *NM), kind="labels").info
    options = CrowdOptions(volunteers=4, crowd="bad", seed=2, classifier=classifier)
    plan = plan_crowd(truth, str(tmp_path / "out.csv"), options)
    run_crowd(plan, Runner(SerialEngine(), tmp_path / "ledger"))
    places = SliceLocator(AnnotateOptions(), volume=whole_box(SHAPE), voxel_nm=truth.voxel_nm)
    rows = list(read_export(str(tmp_path / "out.csv"), AnnotateOptions()))
    assert all(isinstance(row, Classification) for row in rows)
    people = volunteers("bad", seed=2)
    drawn = [
        (z, draw(trace(values[z] > 0, NM), who, z=z, shape_yx=SHAPE[1:], nm=NM))
        for z in range(SHAPE[0])
        for who in panel(people, z, count=4)
    ]
    assert len(rows) == len(drawn)
    for row, (z, vote) in zip(rows, drawn, strict=True):
        (placed,) = places.place(row)
        assert (placed.z, placed.shown, placed.region) == (z, True, "cell")
        for read, made in zip(placed.strokes, vote.strokes, strict=True):
            # hundredths of a pixel, which is two voxels
            assert np.abs(read.points - made.points).max() < 0.02
    assert len({row.volunteer for row in rows}) == len({vote.volunteer for _, vote in drawn})
