import numpy as np
import pytest

from volproc.stages.objects.array_files import Packed, packed


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int64", "uint64", "float32"])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (2, 3, 4)])
def test_arrays_come_back(dtype, shape):
    arrays = {"a": np.ones(shape, dtype=dtype), "b": np.arange(7)}
    found = Packed(packed(arrays, digest="x"), "a")
    assert found.digest == "x"
    assert "a" in found
    assert "c" not in found
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_arrays_that_are_not_contiguous():
    values = np.arange(24).reshape(2, 3, 4)[:, ::2]
    np.testing.assert_array_equal(Packed(packed({"a": values}, digest=""), "a")["a"], values)
