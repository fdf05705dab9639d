"""Why there is no GPU to use: said in torch's words, by whoever plans or computes."""

import pytest
import torch

from volproc.config import devices
from volproc.config.devices import NO_DRIVER, planned_for, why_no_gpu, why_unusable
from volproc.errors import ConfigError, ModelError
from volproc.model.device import device_for, require_planned, unused_gpu_note

TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040). Please update it."


@pytest.fixture
def driver(monkeypatch):
    """driver(available, error, arch, capability): a driver is there, and torch says so much."""

    def there(*, available=False, error=None, built=(), capability=(9, 0)):
        def init():
            if error:
                raise error

        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(devices, "_has_driver", lambda: True)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        monkeypatch.setattr(torch.cuda, "init", init)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(built))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P40")

    return there


def test_a_driver_that_is_too_old_is_said_to_be(driver):
    driver(error=RuntimeError(f"{TOO_OLD}\nand more lines"))
    said = r'device = "cuda", but .*: .*too old \(found version 1.*; take device = "cpu"'
    with pytest.raises(ConfigError, match=said) as caught:
        device_for("cuda")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert device_for("auto") == "cpu"
    assert unused_gpu_note("auto") == (
        f"the network runs on CPUs, though there is a driver of a GPU: {TOO_OLD[:-1]}",
    )
    assert unused_gpu_note("cpu") == ()


def test_a_torch_for_cpus_and_hidden_gpus_are_named(driver, monkeypatch):
    driver(error=RuntimeError("No CUDA GPUs are available"))
    assert why_no_gpu() == "No CUDA GPUs are available"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert why_no_gpu() == "CUDA_VISIBLE_DEVICES hides all GPUs"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert why_no_gpu() == "this torch was built for CPUs only"
    monkeypatch.setattr(devices, "_has_driver", lambda: False)
    assert why_no_gpu() == NO_DRIVER
    assert unused_gpu_note("auto") == ()  # most machines: nothing to tell
    with pytest.raises(ConfigError, match="finds no GPU here: no driver"):
        device_for("cuda")


def test_a_gpu_for_which_torch_has_no_kernels_is_refused_by_who_computes(driver):
    driver(available=True, built=("sm_75", "sm_80", "sm_90"), capability=(6, 1))
    said = r"none on .*: it has no kernels for Tesla P40 of compute capability 6\.1, only for sm_75"
    with pytest.raises(ModelError, match=said):
        require_planned("cuda")
    require_planned("cpu")


@pytest.mark.parametrize(
    ("built", "capability", "runs"),
    [
        (("sm_80",), (8, 6), True),
        (("sm_80",), (9, 0), False),
        (("sm_86",), (8, 0), False),
        (("compute_80",), (12, 0), True),
        (("sm_90a",), (9, 0), True),
        (("sm_90a",), (9, 2), False),
        (("gfx90a",), (9, 0), True),
        ((), (5, 0), True),
    ],
)
def test_kernels_run_on_their_generation_or_are_compiled(driver, built, capability, runs):
    driver(available=True, built=built, capability=capability)
    assert (why_unusable() == "") == runs


def test_a_plan_asks_the_workers_and_not_the_client(driver):
    driver(available=True)
    with planned_for(False):
        assert device_for("auto") == "cpu"
        with pytest.raises(ConfigError, match=r"the cluster has no GPUs; add \[cluster\.gpu\]"):
            device_for("cuda")
    driver(error=RuntimeError(TOO_OLD))
    with planned_for(True):
        assert device_for("auto") == device_for("cuda") == "cuda"
        assert unused_gpu_note("auto") == ()
        with pytest.raises(ModelError, match=r'none on .*too old .*; or take .* device = "cpu"'):
            require_planned("cuda")
