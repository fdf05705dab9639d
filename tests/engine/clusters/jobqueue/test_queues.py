import pytest

from volproc.engine.clusters.jobqueue import queues
from volproc.engine.clusters.jobqueue.queues import SYSTEMS, QueueError, accounting, asked
from volproc.errors import ConfigError

LISTINGS = {
    "slurm": (
        "12|PENDING|Resources|1:00:00\n13|RUNNING|None|59:58\n14|COMPLETING|None|0:00\n"
        "15|OUT_OF_MEMORY|OutOfMemory|INVALID\n",
        {"12": "waits", "13": "runs", "14": "ends", "15": "ended"},
    ),
    "pbs": (
        "Job id            Name             User              Time Use S Queue\n"
        "----------------  ---------------- ----------------  -------- - -----\n"
        "12.head           vp-1-cpu         ann                      0 Q work\n"
        "13.head           vp-1-cpu         ann               00:01:00 R work\n"
        "14.head           vp-1-cpu         ann               00:01:00 F work\n",
        {"12": "waits", "13": "runs", "14": "ended"},
    ),
    "lsf": ("12   PEND\n13   RUN\n14   EXIT\n", {"12": "waits", "13": "runs", "14": "ended"}),
    "sge": (
        "job-ID  prior   name       user         state submit/start at     queue\n"
        "--------------------------------------------------------------------------\n"
        "     12 0.55500 vp-1-cpu   ann          qw    11/28/2026 10:00:00\n"
        "     13 0.55500 vp-1-cpu   ann          r     11/28/2026 10:00:00 all.q@n1\n"
        "     14 0.55500 vp-1-cpu   ann          dr    11/28/2026 10:00:00 all.q@n1\n",
        {"12": "waits", "13": "runs", "14": "ends"},
    ),
    "htcondor": (
        "12.0 1 undefined\n13.0 2 undefined\n14.0 5 no such file\n15.0 4 undefined\n",
        {"12.0": "waits", "13.0": "runs", "14.0": "waits", "15.0": "ended"},
    ),
    "oar": ("12: Waiting\n13: Running\n14: Error\n", {"12": "waits", "13": "runs", "14": "ended"}),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_listing_of_every_system_is_read(name):
    text, states = LISTINGS[name]
    assert {job.id: job.state for job in SYSTEMS[name].read(text)} == states


def test_a_queue_says_why_a_job_waits_and_how_long_one_has_left():
    first, second, *_ = SYSTEMS["slurm"].read(LISTINGS["slurm"][0])
    assert (first.reason, first.seconds_left) == ("Resources", 3600)
    assert (second.reason, second.seconds_left) == ("", 3598)
    held = list(SYSTEMS["htcondor"].read(LISTINGS["htcondor"][0]))[2]
    assert held.reason == "no such file"


def test_jobs_are_asked_for_by_the_name_or_by_their_numbers(monkeypatch):
    commands = []
    monkeypatch.setattr(queues, "asked", lambda command: commands.append(command) or "")
    for name in ("slurm", "pbs", "oar"):
        SYSTEMS[name].jobs(["12", "13"], name="vp-1-cpu")
    assert [command[-2:] for command in commands] == [
        ["-n", "vp-1-cpu"],
        ["12", "13"],
        ["-j", "12,13"],
    ]


def test_a_job_that_has_left_is_no_failure_of_the_queue_but_silence_is():
    assert asked(["bash", "-c", "echo 'qstat: Unknown Job Id 12' >&2; exit 153"]) == ""
    with pytest.raises(QueueError, match="bash fails: no contact"):
        asked(["bash", "-c", "echo 'no contact' >&2; exit 1"])
    with pytest.raises(QueueError, match="nosuchcommand does not answer"):
        asked(["nosuchcommand"])


def test_a_machine_without_the_system_is_named_with_the_option(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"sbatch is not found here.*SLURM; .*\[cluster\] system"):
        SYSTEMS["slurm"].require("[cluster] system")


def test_accounting_is_told_where_a_site_keeps_it(queue):
    assert accounting(SYSTEMS["slurm"], "12") == "State FAILED, ExitCode 7:0, MaxRSS 123K"
    assert accounting(SYSTEMS["sge"], "12") == ""
