"""Who may edit through the server: the page of this viewer, and nothing else.

A request needs the token that is in the page, from this address, on this machine.
"""

from __future__ import annotations

import hmac
import json
from urllib.parse import urlsplit

import tornado.web
from tornado.ioloop import IOLoop

from volproc.errors import VolprocError
from volproc.viewing.mending import LOOPBACK, Mending

HEADER = "X-Volproc-Edit"
MOST_BODY = 10_000


class EditHandler(tornado.web.RequestHandler):
    """What is picked, and buttons. Errors are said in the page, in their line."""

    def initialize(self, mending: Mending, authority: str) -> None:
        """Of this viewer, at this host and port."""
        self.mending, self.authority = mending, authority

    def get(self) -> None:
        """The state of the page."""
        self.set_header("Cache-Control", "no-store")
        self.finish(self.mending.state())

    async def post(self) -> None:
        """Do what a button says."""
        if not self._is_from_the_page():
            self.send_error(403)
            return
        try:
            stated = json.loads(self.request.body[:MOST_BODY])
            work = self.mending.do(stated if isinstance(stated, dict) else {})
            await IOLoop.current().run_in_executor(None, work.result)
        except (VolprocError, ValueError, TypeError) as error:
            self.mending.said = str(error)
            self.set_status(400)
        self.finish(self.mending.state())

    def _is_from_the_page(self) -> bool:
        """Whether it has the page's token, and comes from this machine and this address.

        Another site's page knows no token, and must ask before it may send the header.
        """
        given, origin = self.request.headers.get(HEADER, ""), self.request.headers.get("Origin")
        return (
            hmac.compare_digest(given.encode(), self.mending.token.encode())
            and self.request.host == self.authority
            and (origin is None or urlsplit(origin).netloc == self.authority)
            and str(self.request.remote_ip) in LOOPBACK
        )
