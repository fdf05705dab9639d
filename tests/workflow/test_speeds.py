import json

import pytest

from volproc.workflow import rates
from volproc.workflow.speeds import (
    CORE_FLOPS,
    DECODED,
    ENCODED,
    INT8_NETWORK,
    INT8_STEP,
    OTHERS,
    Rate,
    speeds,
    stated_on_gpu,
    stated_seconds,
)


def started(time, *, done=0, total=4, **more):
    return {"event": "StepStarted", "time": time, "step": "a", "done": done, "total": total, **more}


def block(time, worker, *, voxels=100, host="n1", **more):
    return {
        "event": "BlockDone", "time": time, "step": "a", "worker": worker, "host": host,
        "voxels": voxels, **more,
    }  # fmt: skip


def measured(*events):
    return speeds(json.dumps(event) for event in events)


def test_a_worker_counts_from_its_first_block_to_its_last():
    """The second one came an hour later: the step was no slower for it."""
    found = measured(
        started(0, on_gpu=True),
        block(10, 1, seconds=10),
        block(20, 1, seconds=10),
        block(3610, 2, seconds=10),
    )["a"]
    assert (found.voxels, found.workers, found.on_gpu) == (10.0, 2, True)


def test_blocks_that_a_worker_has_in_hand_together_count_once():
    found = measured(started(0), block(10, 1, seconds=10), block(12, 1, seconds=12))["a"]
    assert found.voxels == 200 / 12


def test_equal_process_ids_on_two_hosts_are_two_workers():
    found = measured(started(0), block(10, 1, seconds=5), block(10, 1, seconds=5, host="n2"))["a"]
    assert (found.workers, found.voxels) == (2, 20.0)


def test_a_log_without_seconds_counts_from_the_beginning_of_the_step():
    assert measured(started(5), block(10, 1), block(15, 1))["a"].voxels == 20.0


def test_the_last_run_that_did_something_counts():
    first = started(0), block(10, 1, seconds=10)
    second = started(100), block(105, 1, seconds=5)
    nothing = (started(200, done=4),)
    assert measured(*first, *second, *nothing)["a"].voxels == 20.0


def test_torn_lines_and_steps_without_blocks_are_left_out():
    lines = [json.dumps(started(0)), '{"event": "Block', json.dumps(block(10, 1, seconds=10))[:-9]]
    assert speeds(lines) == {}


def test_stated_figures_are_those_of_the_benchmark():
    """The field of view of benchmarks/LOG.md: 32 TFLOP and 4.48 GB in 180.7 s on two cores."""
    seconds = stated_seconds("predict", flop=0.177e12 * 180.7, bytes_moved=4.48e9, cores=2)
    assert seconds == pytest.approx(180.7, rel=0.01)
    for name, moved, measured_s in (
        ("pyramid of prediction, level 1", 1.78e9, 4.9),
        ("label", 1.42e9, 10.2),
        ("relabel", 6.95e9, 9.0),
        ("count", 9.57e9, 18.9),
        ("surfaces", 5.56e9, 26.3),
    ):
        seconds = stated_seconds(name, flop=0, bytes_moved=moved, cores=2)
        assert seconds == pytest.approx(measured_s, rel=0.02), name


def test_cores_compute_then_move():
    given = {"flop": 2 * CORE_FLOPS, "bytes_moved": 3 * OTHERS}
    assert stated_seconds("x", cores=1, **given) == 5
    assert stated_seconds("x", cores=2, **given) == 2.5


def test_beside_a_gpu_cores_decode_and_encode_meanwhile():
    given = {"flop": 2e12, "bytes_read": DECODED, "bytes_written": 2 * ENCODED, "gpu_flops": 1e12}
    one, four = (stated_on_gpu(cores=cores, **given) for cores in (1, 4))
    assert (one.longest, four.longest) == (3, 2)
    assert (one.bottleneck, four.bottleneck) == ("the cores", "the GPU")


def test_what_was_measured_in_another_precision_is_told_as_stated():
    """After a run in float32 a plan in int8 is of int8, and the other way round."""
    found = measured(started(0), block(10, 1, seconds=10))["a"]
    assert (found.precision, found.voxels) == ("float32", 10.0)
    assert found.voxels_in("float32") == 10.0
    assert found.voxels_in("int8") == 10.0 * INT8_STEP
    whole = measured(started(0, precision="int8"), block(10, 1, seconds=10))["a"]
    assert whole.voxels_in("int8") == 10.0
    assert whole.voxels_in("float32") == pytest.approx(10.0 / INT8_STEP)
    stated = (
        stated_seconds("predict", flop=CORE_FLOPS, bytes_moved=0, cores=1, precision=precision)
        for precision in ("float32", "int8")
    )
    assert next(stated) == INT8_NETWORK * next(stated)


def test_the_rates_of_a_plan_are_of_the_last_precision(tmp_path):
    """One line of the log for each event, as runs write them."""

    def finished(voxels):
        return {"event": "StepFinished", "step": "a", "voxels": voxels, "seconds": 10.0}

    events = [started(0), finished(100), started(0, precision="int8"), finished(300)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    assert rates(str(tmp_path)) == {"a": Rate(30.0, "int8")}
