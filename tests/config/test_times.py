from datetime import datetime, timedelta

import pytest

from volproc.config.times import length_of, moment_of
from volproc.errors import ConfigError

NOW = datetime(2026, 11, 28, 17, 30, 12)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("17:31", datetime(2026, 11, 28, 17, 31)),
        ("17:30", datetime(2026, 11, 29, 17, 30)),
        ("8:00", datetime(2026, 11, 29, 8)),
        ("2h", NOW + timedelta(hours=2)),
        ("1d 90min", NOW + timedelta(days=1, minutes=90)),
        ("2026-12-01T08:00", datetime(2026, 12, 1, 8)),
        ("2026-12-01 08:00", datetime(2026, 12, 1, 8)),
    ],
)
def test_a_moment_is_the_next_such_one(text, moment):
    assert moment_of(text, now=NOW, flag="--until") == moment


@pytest.mark.parametrize("text", ["24:00", "08:61", "8", "soon", "-2h", "2026-13-01", "0h", "h"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(ConfigError, match=rf"--until '{text}': give a time, e\.g\. 08:00, .*2h"):
        moment_of(text, now=NOW, flag="--until")


def test_a_date_that_is_past_is_refused():
    with pytest.raises(ConfigError, match=r"'2026-11-28' is past; give a moment to come"):
        moment_of("2026-11-28", now=NOW, flag="--until")


@pytest.mark.parametrize("text", ["8", "08:00", "", "8 hours", "1.5.2h"])
def test_what_is_no_length_is_refused_with_examples(text):
    with pytest.raises(ConfigError, match=r"--deadline .*: give a length of time, e\.g\. 8h"):
        length_of(text, flag="--deadline")


def test_a_length_beyond_all_calendars_is_refused():
    with pytest.raises(ConfigError, match="give less than a million days"):
        length_of("9999999999d", flag="--deadline")
    with pytest.raises(ConfigError, match="give a time"):
        moment_of("999999999d", now=NOW, flag="--until")
