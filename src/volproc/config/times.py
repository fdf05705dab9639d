"""Moments and lengths of time as people write them: 08:00, 2h, 90min."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from volproc.errors import ConfigError

SECONDS = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1}
PART = r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)"


def length_of(text: str, *, flag: str) -> timedelta:
    """A length of time; ConfigError, with the flag's name, for what is none.

    >>> length_of("1h 30min", flag="--deadline"), length_of("2d", flag="--deadline")
    (datetime.timedelta(seconds=5400), datetime.timedelta(days=2))
    """
    if not re.fullmatch(rf"({PART}\s*)+", text.strip()):
        raise ConfigError(f"{flag} {text!r}: give a length of time, e.g. 8h, 90min or 1d 12h")
    parts = re.findall(PART, text)
    seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    if not seconds:
        raise ConfigError(f"{flag} {text!r}: give more than nothing, e.g. 8h")
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ConfigError(f"{flag} {text!r}: give less than a million days") from error


def moment_of(text: str, *, now: datetime, flag: str) -> datetime:
    """When it is so late next, on that date, or after that time; ConfigError for what is past.

    >>> moment_of("08:00", now=datetime(2026, 11, 28, 17, 30), flag="--until")
    datetime.datetime(2026, 11, 29, 8, 0)
    """
    if re.fullmatch(r"\d{1,2}:\d\d", text):
        return _next(text, now, flag)
    if re.match(r"\d{4}-", text):
        return _dated(text, now, flag)
    try:
        return now + length_of(text, flag=flag)
    except (ConfigError, OverflowError) as error:
        raise _unreadable(text, flag) from error


def _next(text: str, now: datetime, flag: str) -> datetime:
    hour, minute = map(int, text.split(":"))
    try:
        today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    except ValueError as error:
        raise _unreadable(text, flag) from error
    return today if today > now else today + timedelta(days=1)


def _dated(text: str, now: datetime, flag: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _unreadable(text, flag) from error
    if moment.timestamp() <= now.timestamp():
        raise ConfigError(f"{flag} {text!r} is past; give a moment to come")
    return moment


def _unreadable(text: str, flag: str) -> ConfigError:
    return ConfigError(f"{flag} {text!r}: give a time, e.g. 08:00, 2026-12-01T08:00, 2h or 90min")
