"""Patches a second of a training, and the share of its time that it waits for patches.

python benchmarks/train_loop.py IMAGE.zarr LABELS.zarr [KEY=VALUE ...]     # options of [train]
"""

import sys
from tempfile import TemporaryDirectory

from volproc import TrainOptions
from volproc.config.loading import parsed, set_option
from volproc.stages.train.execution import run_training
from volproc.stages.train.loop import Progress
from volproc.stages.train.stage import plan_train
from volproc.stages.train.training_sources import sources_of


def main(image: str, labels: str, *flags: str) -> None:
    """Print them."""
    tables = {"train": {"images": [image], "labels": [labels], "steps": 30}}
    for flag in flags:
        set_option(tables, f"train.{flag}")
    seen: list[Progress] = []
    with TemporaryDirectory() as folder:
        tables["train"]["model_out"] = f"{folder}/model"
        options = parsed(TrainOptions, tables["train"], where="command")
        run_training(plan_train(sources_of(options), options), watch=seen.append)
    last = seen[-1]
    print(f"{last.speed:.2f} patches/s, waiting {last.waiting:.1%} of the time, {last.steps} steps")


if __name__ == "__main__":
    main(*sys.argv[1:])
