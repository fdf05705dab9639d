"""The simulated cupy has nothing that the real one lacks, and takes what that takes."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.simulated_gpu import cupy_module
from tests.simulated_gpu.cupy_module import FUNCTIONS, simulated_cupy
from tests.simulated_gpu.cupy_signatures import (
    FILE,
    METHODS,
    PROPERTIES,
    parameters,
    signatures,
)

import volproc

LISTED = json.loads(FILE.read_text())
SOURCES = [
    path
    for path in Path(volproc.__file__).parent.rglob("*.py")
    if "namespace_of(" in path.read_text() or "import cupy" in path.read_text()
]


def test_what_is_simulated_has_the_parameters_of_the_real_one():
    with simulated_cupy():
        simulated = signatures(FUNCTIONS)
    for place in LISTED.keys() - {"cupy.ndarray"}:
        assert simulated[place] == LISTED[place], place
    for name in METHODS:
        if not name.startswith("_"):
            method = getattr(cupy_module.ndarray, name)
            assert parameters(method) == LISTED["cupy.ndarray"][name], name


def test_the_simulated_array_has_only_what_is_listed():
    own = {name for name in vars(cupy_module.ndarray) if not name.startswith("_")}
    assert own - {"held", "memory"} <= {*METHODS, *PROPERTIES}


def test_volproc_uses_no_function_of_cupy_that_is_not_listed():
    """Names after `xp.` or `ndimage.` in all that may work on a GPU's arrays."""
    assert len(SOURCES) >= 6
    known = {*LISTED["cupy"], *LISTED["cupyx.scipy.ndimage"], "inf"}
    for path in SOURCES:
        used = set(re.findall(r"\b(?:xp|ndimage)\.(\w+)", path.read_text()))
        assert used <= known, path


@pytest.mark.skipif(not find_spec("cupy"), reason="no cupy here: the list is of the one it names")
def test_the_list_is_that_of_the_cupy_that_is_installed():
    found = signatures(FUNCTIONS)
    assert {**found, "version": ""} == {**LISTED, "version": ""}
