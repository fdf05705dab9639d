"""Zooniverse's API through panoptes-client: what an upload needs, with errors in one line.

panoptes-client's own `Subject.save` is not used: an image that fails to upload passes there
unnoticed, and leaves volunteers with a blank frame.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from volproc.errors import INSTALL, AnnotateError
from volproc.volume.access import first_line

PAUSES_S = (2.0, 4.0, 8.0, 16.0)
"""Between attempts."""
TIMEOUT_S = 60.0
IMAGES_AT_ONCE = 5
MEDIA = {"jpg": "image/jpeg", "png": "image/png"}
CREDENTIALS = (
    ("PANOPTES_USERNAME", "PANOPTES_PASSWORD"),
    ("PANOPTES_CLIENT_ID", "PANOPTES_CLIENT_SECRET"),
)
_TRANSIENT = "Received HTTP status code"
"""How panoptes-client words statuses of 500 and above."""

T = TypeVar("T")


class Zooniverse:
    """A signed-in client. Every failure is an AnnotateError that names what was refused."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def require_project(self, project: int) -> None:
        """Nothing, if there is a project of that number; AnnotateError otherwise."""
        from panoptes_client import Project

        with self._request(f"project {project}"):
            insist(lambda: Project.find(project))

    def create_set(self, name: str, *, project: int) -> str:
        """The number of a new, empty subject set."""
        from panoptes_client import SubjectSet

        def create() -> str:
            made = SubjectSet()
            made.links.project = project
            made.display_name = name
            made.save()
            return str(made.id)

        with self._request(f"a new subject set {name!r}"):
            return insist(create)

    def create_subject(
        self, images: Mapping[str, bytes], metadata: Mapping[str, str], *, project: int
    ) -> str:
        """The number of a new subject that is in no set yet, all its `images` (by name) uploaded.

        An attempt that fails midway leaves a subject in no set, which volunteers never see.
        """
        kinds = [MEDIA[name.rpartition(".")[2]] for name in images]
        new = {"locations": kinds, "metadata": metadata, "links": {"project": str(project)}}

        def create() -> Any:
            response, _ = self._client.post("/subjects", json={"subjects": new})
            return response["subjects"][0]

        with self._request("a new subject"):
            subject = insist(create)
            places = [place[kind] for place, kind in zip(subject["locations"], kinds, strict=True)]
        with ThreadPoolExecutor(IMAGES_AT_ONCE) as pool:
            list(pool.map(self._put, places, images, images.values(), kinds))
        return str(subject["id"])

    def link(self, subjects: Sequence[str], *, subject_set: str) -> None:
        """Add subjects to a set; those that are in it already are left alone."""
        from panoptes_client import SubjectSet

        with self._request(f"subjects of the set {subject_set}"):
            insist(lambda: SubjectSet(subject_set).add(list(subjects)))

    def _put(self, url: str, name: str, content: bytes, kind: str) -> None:
        import requests

        headers = {"Content-Type": kind, "x-ms-blob-type": "BlockBlob"}

        def put() -> None:
            status = requests.put(url, content, headers=headers, timeout=TIMEOUT_S).status_code
            if status >= 500:
                raise ConnectionError(f"status {status}")
            if status >= 300:
                raise AnnotateError(f"{name} was refused: status {status}; run the command again")

        with _renamed(f"uploading {name}"):
            insist(put)

    @contextmanager
    def _request(self, what: str) -> Iterator[None]:
        with _renamed(f"{self._client.endpoint}, request for {what}"), self._client:
            yield


@contextmanager
def signed_in(endpoint: str = "") -> Iterator[Zooniverse]:
    """Zooniverse at `endpoint`, by default where PANOPTES_ENDPOINT says, else the public one.

    Credentials come from the environment only. AnnotateError if there are none, if they are
    refused, or if panoptes-client is not installed.
    """
    kind = require_account()
    where = endpoint or os.environ.get("PANOPTES_ENDPOINT") or "Zooniverse"
    with _renamed(f"signing in at {where}"):
        client = insist(lambda: kind(endpoint=endpoint.rstrip("/") or None))
        _limit_waiting(client.session)
        insist(client.get_bearer_token)
    yield Zooniverse(client)


def require_account() -> Any:
    """The class of clients; AnnotateError without an account or without panoptes-client."""
    if not any(all(os.environ.get(name) for name in pair) for pair in CREDENTIALS):
        ways = ", or ".join(" and ".join(pair) for pair in CREDENTIALS)
        raise AnnotateError(f"uploading needs an account of Zooniverse: set {ways}")
    return _client_class()


def insist(attempt: Callable[[], T]) -> T:
    """What `attempt` returns; it is repeated where the connection or the server failed."""
    for pause in PAUSES_S:
        try:
            return attempt()
        except Exception as error:
            if not _is_transient(error):
                raise
            time.sleep(pause)
    return attempt()


def _is_transient(error: Exception) -> bool:
    """Whether trying again may help: broken connections, and statuses of 500 and above."""
    from requests.exceptions import RequestException

    broken = isinstance(error, RequestException | ConnectionError)
    return broken or str(error).startswith(_TRANSIENT)


@contextmanager
def _renamed(what: str) -> Iterator[None]:
    """Whatever panoptes-client or the network raises becomes an AnnotateError, one line."""
    try:
        yield
    except AnnotateError:
        raise
    except Exception as error:
        if _is_transient(error):
            way_out = "try again later: the same command goes on from here"
        else:
            way_out = "check the account in the environment, its rights and the project's number"
        raise AnnotateError(f"{what}: {_text(error)}; {way_out}") from error


def _text(error: Exception) -> str:
    """The text of an error; a KeyError of panoptes-client is a response that lacks something."""
    if isinstance(error, KeyError):
        return f"the response lacks {error}, so the account was probably refused"
    return first_line(error)


def _client_class() -> Any:
    """The class of clients. Importing it must not change how this program logs.

    Nor need it say that libmagic is missing: the types of images are known here.
    """
    root = logging.getLogger()
    level, handlers, silent = root.level, root.handlers[:], root.manager.disable
    logging.disable(logging.INFO)
    try:
        from panoptes_client import Panoptes
    except ImportError as error:
        raise AnnotateError(
            f"uploading needs panoptes-client: {INSTALL.format('zooniverse')}"
        ) from error
    finally:
        logging.disable(silent)
        root.setLevel(level)
        root.handlers[:] = handlers
    return Panoptes


def _limit_waiting(session: Any) -> None:
    """Give up on a server that does not respond: panoptes-client itself would wait for ever."""
    from requests.adapters import HTTPAdapter

    class TimeLimited(HTTPAdapter):
        def send(self, request: Any, *more: Any, **settings: Any) -> Any:
            return super().send(request, *more, **{**settings, "timeout": TIMEOUT_S})

    for start in ("https://", "http://"):
        session.mount(start, TimeLimited())
