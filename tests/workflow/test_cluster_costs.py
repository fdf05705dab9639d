from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.workflow.cluster_costs import PoolSize, Work, cheapest, cost_of


def work(pool, blocks, hours, step="step"):
    """Blocks of so many hours each."""
    return Work("stage", step, pool, blocks, 3600 * hours, "stated")


def test_a_block_is_never_shared():
    pool = {"cpu": PoolSize(3, workers_per_job=2)}
    assert cost_of([work("cpu", 13, 1)], pool).hours == 3
    assert cost_of([work("cpu", 1, 1)], pool).hours == 1


def test_a_pool_costs_from_its_first_step_to_its_last():
    steps = [work("cpu", 1, 1), work("gpu", 1, 2), work("cpu", 1, 3), work("gpu", 1, 4)]
    pools = {
        "cpu": PoolSize(2, cores=8, price=0.5),
        "gpu": PoolSize(1, cores=4, gpus=2, price=3, ask_ahead_s=1800),
    }
    cost = cost_of(steps, pools)
    assert cost.hours == 10
    assert (cost.pools["cpu"].hours, cost.pools["gpu"].hours) == (6, 9.5)
    assert (cost.pools["cpu"].core_hours, cost.pools["gpu"].core_hours) == (96, 38)
    assert (cost.pools["cpu"].gpu_hours, cost.pools["gpu"].gpu_hours) == (0, 19)
    assert cost.money == 2 * 0.5 * 6 + 3 * 9.5


def test_a_pool_that_is_asked_for_ahead_never_begins_before_the_run():
    pools = {"cpu": PoolSize(1, ask_ahead_s=7200)}
    assert cost_of([work("cpu", 1, 1)], pools).pools["cpu"].hours == 1


def test_a_job_costs_before_its_first_block_so_more_of_them_cost_more():
    pools = {"cpu": PoolSize(3, price=1, start_s=360)}
    steps = [work("cpu", 60, 1)]
    assert cost_of(steps, pools).money == pytest.approx(3 * 20.1)
    best, fastest = cheapest(steps, pools, hours=30)
    assert best is not None
    assert (best.pools["cpu"].size.jobs, fastest.pools["cpu"].size.jobs) == (2, 60)


def test_pools_of_one_machine_are_there_for_their_own_steps():
    steps = [work("cpu", 1, 1), work("gpu", 1, 2), work("cpu", 1, 3)]
    pools = {name: PoolSize(1, shared=True) for name in ("cpu", "gpu")}
    cost = cost_of(steps, pools)
    assert (cost.pools["cpu"].hours, cost.pools["gpu"].hours) == (4, 2)


steps = st.lists(
    st.builds(
        work, st.sampled_from(["cpu", "gpu"]), st.integers(1, 30), st.sampled_from([0.1, 1, 7])
    ),
    min_size=1,
    max_size=5,
)
prices = st.sampled_from([0.0, 0.5, 3.0])


@given(steps, prices, prices, st.sampled_from([0.5, 5, 20, 100]))
def test_what_is_cheapest_is_the_cheapest_of_all_numbers_of_jobs(steps, cpu, gpu, hours):
    pools = {"cpu": PoolSize(1, price=cpu), "gpu": PoolSize(1, 2, gpus=2, price=gpu)}
    best, fastest = cheapest(steps, pools, hours=hours)
    every = [
        cost_of(
            steps,
            {
                "cpu": replace(pools["cpu"], jobs=counts[0]),
                "gpu": replace(pools["gpu"], jobs=counts[1]),
            },
        )
        for counts in product(range(1, 31), range(1, 16))
    ]
    assert fastest.hours == min(one.hours for one in every)
    within = [one for one in every if one.hours <= hours]
    assert (best is None) == (not within)
    if best is not None and within:
        assert best.money == pytest.approx(min(one.money for one in within))
        assert not any(one.cheaper(best) for one in within)


def test_many_blocks_take_few_tries():
    steps = [work("cpu", 10**6, 0.01), work("gpu", 10**5, 0.1)]
    pools = {"cpu": PoolSize(1, price=1), "gpu": PoolSize(1, gpus=1, price=1)}
    best, _ = cheapest(steps, pools, hours=200)
    assert best is not None
    assert 20_000 <= best.money < 20_200  # job hours of the work alone, and little idle time
