"""Prints the probabilities of quantised layers, for a process with other instructions.

python -m tests.model.int8.probabilities FOLDER SHA256 SKIPS
"""

import sys
from dataclasses import replace

from tests.model.int8.exact import CONSTANTS, noise

from volproc.model.int8.layers import load_layers
from volproc.model.int8.predictor import Int8Predictor
from volproc.model.unet_spec import UNetSpec

SPEC = UNetSpec(slices_in=12, slices_out=2, widths=(32, 48, 64))


def probabilities(layers, spec):
    predict = Int8Predictor(layers, spec)
    return predict(noise(1, 12, 64, 96), CONSTANTS, (slice(16, 48), slice(0, 80))).numpy()


if __name__ == "__main__":
    folder, sha256, skips = sys.argv[1:]
    spec = replace(SPEC, skips=skips)  # type: ignore[arg-type]
    sys.stdout.buffer.write(probabilities(load_layers(folder, spec, sha256), spec).tobytes())
