import pytest
import torch

from volproc.model.deferred_checks import DeferredChecks, check_soon, deferring

CPU = torch.device("cpu")


def refuse(*numbers):
    raise ValueError(f"{numbers}")


def test_numbers_of_a_cpu_are_checked_at_once():
    with deferring() as checks, pytest.raises(ValueError, match=r"\(1.0, 2.0\)"):
        check_soon(torch.tensor([1.0, 2.0]), refuse)
    assert not checks.numbers(CPU).numel()


def test_deferred_checks_get_their_own_numbers_in_order():
    seen, checks = [], DeferredChecks()
    for numbers in ([1.0], [2.0, 3.0], [4.0]):
        checks.add(torch.tensor(numbers), lambda *own: seen.append(own))
    checks.require(checks.numbers(CPU).tolist())
    assert seen == [(1,), (2, 3), (4,)]
