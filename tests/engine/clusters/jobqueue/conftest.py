"""A queue of shell scripts: sbatch, squeue and scancel that keep their jobs in a folder."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMANDS = {
    "sbatch": """
        if [ -e {at}/refuse ]; then cat {at}/refuse >&2; exit 1; fi
        [ "$1" = --test-only ] && exit 0
        number=$(ls {at}/scripts | wc -l); number=$((number + 1))
        name=$(sed -n 's/^#SBATCH -J //p' "$1")
        cp "$1" {at}/scripts/$number.sh
        echo "$number|$(cat {at}/state)|$name" > {at}/jobs/$number
        if [ -e {at}/pids ]; then
          setsid bash {at}/scripts/$number.sh >{at}/log-$number 2>&1 </dev/null &
          echo $! > {at}/pids/$number
        fi
        echo "Submitted batch job $number"
        """,
    "squeue": """
        [ -e {at}/down ] && {{ echo "slurm_load_jobs error: no contact" >&2; exit 1; }}
        for last; do :; done
        for job in $(ls {at}/jobs); do
          IFS='|' read id word reason left name < {at}/jobs/$job
          if [ -e {at}/pids/$job ] && ! kill -0 -- -$(cat {at}/pids/$job) 2>/dev/null; then
            word=COMPLETED
          fi
          [ "$name" = "$last" ] && echo "$id|$word|$reason|$left"
        done
        true
        """,
    "scancel": """
        for id; do
          [ -e {at}/pids/$id ] && kill -- -$(cat {at}/pids/$id) 2>/dev/null
          name=$(cut -d'|' -f5 {at}/jobs/$id)
          echo "$id|CANCELLED|None|INVALID|$name" > {at}/jobs/$id
        done
        """,
    "sacct": "echo 'FAILED|7:0|123K'",
}


@dataclass
class FakeQueue:
    """What the scripts of a made-up SLURM read and write."""

    folder: Path

    def set(self, number, word, reason="None", left="INVALID"):
        """What the queue says of a job from now on."""
        name = self.words(number)[4]
        (self.folder / f"jobs/{number}").write_text(f"{number}|{word}|{reason}|{left}|{name}\n")

    def words(self, number):
        return (self.folder / f"jobs/{number}").read_text().strip().split("|")

    def states(self):
        """The word of each job, in order."""
        found = sorted((self.folder / "jobs").iterdir(), key=lambda file: int(file.name))
        return [self.words(file.name)[1] for file in found]

    def new_jobs(self, word, reason="None", left="INVALID"):
        """What the queue says of jobs that are submitted from now on."""
        (self.folder / "state").write_text(f"{word}|{reason}|{left}")

    def launch(self):
        """Jobs that are submitted from now on run, each in a process group of its own."""
        (self.folder / "pids").mkdir()
        self.new_jobs("RUNNING")

    def groups(self):
        """The process group of each job."""
        found = sorted((self.folder / "pids").iterdir(), key=lambda file: int(file.name))
        return [int(file.read_text()) for file in found]

    def refuse(self, line):
        (self.folder / "refuse").write_text(line)

    def script(self, number):
        return (self.folder / f"scripts/{number}.sh").read_text()


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A SLURM in which every job waits for resources."""
    at = tmp_path / "queue"
    for name in ("bin", "jobs", "scripts"):
        (at / name).mkdir(parents=True)
    for name, text in COMMANDS.items():
        script = at / "bin" / name
        script.write_text("#!/bin/bash\n" + text.format(at=at))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{at}/bin{os.pathsep}{os.environ['PATH']}")
    found = FakeQueue(at)
    found.new_jobs("PENDING", "Resources")
    return found
