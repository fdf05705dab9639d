"""Secrets in URLs: used, and never written down.

A URL may hold a password (https://name:password@host/) or a signature (?X-Amz-Signature=...). Where
options and commands take it, its secret is put into the environment, which workers inherit, and the
URL goes on without it: into options, records, logs, digests and reports. Where a file system is
opened, the secret is put back. So a URL that is signed anew is still the same place.
"""

from __future__ import annotations

import json
import os
import re

SECRETS = "VOLPROC_URL_SECRETS"
"""The variable that holds them: JSON, the secret of each place."""

_NAMES = (
    r"(?:x-(?:amz|goog)-[a-z-]+|signature|sig|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|(?:[a-z_-]*[_-])?(?:token|secret|password|passwd|apikey|key)|auth)"
)
_LOGINS = (
    # keys of object stores have slashes, and no host there has a port
    re.compile(r"(?P<user>\b(?:s3a?|gc?s)://[^\s/@:]*):(?P<secret>[^\s@'\"]*)@"),
    re.compile(r"(?P<user>\b\w[\w+.-]*://[^\s/@:?#]*):(?P<secret>[^\s/?#'\"]*)@"),
)
_IN_QUERY = re.compile(rf"(?P<name>[?&]{_NAMES}=)[^\s&#'\"<>)\]\\]+", re.IGNORECASE)
_ON_THE_WEB = re.compile(r"(?:\w+::)*https?://", re.IGNORECASE)


def without_secrets(url: str) -> str:
    """The URL without a password, and without its query where that is a signature or holds a key.

    This process and the workers that it starts can still open it: `with_secrets`.
    """
    place, mark, query = url.partition("?") if _ON_THE_WEB.match(url) else (url, "", "")
    for login in _LOGINS:
        if found := login.search(place):
            place = login.sub(r"\g<user>@", place, count=1)
            _keep(f"{found['user']}@", found["secret"])
    if not _IN_QUERY.search(f"?{query}"):
        return f"{place}{mark}{query}"
    _keep(place, query)
    return place


def with_secrets(url: str) -> str:
    """The URL with the secrets that `without_secrets` took out of it."""
    kept = _kept()
    query = kept.get(url)
    for user, secret in kept.items():
        if user.endswith("@") and user in url:
            url = url.replace(user, f"{user[:-1]}:{secret}@", 1)
    return url if query is None else f"{url}?{query}"


def secrets_here() -> dict[str, str]:
    """The variable that holds them, for processes elsewhere; nothing where there are none."""
    return {SECRETS: os.environ[SECRETS]} if SECRETS in os.environ else {}


def masked(text: str) -> str:
    """A text without the secrets of the URLs in it, such as a library's message.

    >>> masked("404 at https://me:pass@host/a.tif?X-Amz-Signature=12ab&partNumber=1")
    '404 at https://me:***@host/a.tif?X-Amz-Signature=***&partNumber=1'
    """
    for login in _LOGINS:
        text = login.sub(r"\g<user>:***@", text)
    return _IN_QUERY.sub(r"\g<name>***", text)


def _kept() -> dict[str, str]:
    found: dict[str, str] = json.loads(os.environ.get(SECRETS, "{}"))
    return found


def _keep(place: str, secret: str) -> None:
    os.environ[SECRETS] = json.dumps({**_kept(), place: secret})
