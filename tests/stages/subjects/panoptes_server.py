"""A stand-in for the Panoptes API: what panoptes-client asks of it, answered in the same words."""

import json
import re
from collections import Counter
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit

LOGIN = {"login": "keeper", "password": "s3cret-word"}
CLIENT = {"client_id": "robot", "client_secret": "s3cret-key"}
TOKEN = "token-of-this-hour"
MAX_BYTES = 2**20


class Panoptes(ThreadingHTTPServer):
    """Holds what was uploaded, and breaks as it is told to.

    `breaks` maps the name of a request to how it breaks, attempt by attempt: a status, "drop"
    (before anything is done) or "drop after"; None answers as always, as do all later attempts.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.projects = {"42": {"id": "42", "display_name": "Cells", "links": {}}}
        self.sets, self.subjects, self.media = {}, {}, {}
        self.members = []
        self.asked = Counter()
        self.breaks = {}
        self.lock = Lock()

    def seen(self):
        """Metadata and images of the subjects that volunteers can see, in order."""
        return [
            (
                self.subjects[subject]["metadata"],
                [self.media[u] for u in self.subjects[subject]["u"]],
            )
            for _, subject in self.members
        ]

    def handle_error(self, request, client_address):
        """Connections that break are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: two would wait for one another

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def do_PUT(self):
        self._serve()

    def _serve(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        for (method, pattern), (name, answer) in ROUTES.items():
            found = re.fullmatch(pattern, parts.path)
            if found and method == self.command:
                self._breaking(name, partial(answer, self, *found.groups()))
                return
        self._say(404, {"errors": [{"message": "Not Found"}]})

    def _breaking(self, name, answer):
        with self.server.lock:
            self.server.asked[name] += 1
            planned = self.server.breaks.get(name, [])
            how = planned.pop(0) if planned else None
        if isinstance(how, int):
            self._say(how, {"errors": [{"message": f"planned {how}"}]})
        elif how == "drop":
            self._hang_up()
        else:
            with self.server.lock:
                status, content = answer()
            if how == "drop after":
                self._hang_up()
            else:
                self._say(status, content)

    def _hang_up(self):
        self.close_connection = True
        self.connection.close()

    def _say(self, status, content, **headers):
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("ETag", 'W/"1"')
        self.send_header("x-csrf-token", "csrf")
        self.end_headers()
        self.wfile.write(text)

    def token_page(self):
        return 200, {}

    def sign_in(self):
        asked = json.loads(self.body)["user"]
        if {key: asked[key] for key in LOGIN} != LOGIN:
            return 401, {"error": "Invalid email or password."}
        return 200, {"users": [{"id": "7", "login": "keeper"}]}

    def token(self):
        asked = {key: value[0] for key, value in parse_qs(self.body.decode()).items()}
        robot = asked["grant_type"] == "client_credentials"
        if robot and {key: asked.get(key) for key in CLIENT} != CLIENT:
            return 401, {"error": "invalid_client"}
        return 200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 7200}

    def project(self, number):
        found = self.server.projects.get(number)
        if not found:
            return 404, {"errors": [{"message": f"Could not find project with id='{number}'"}]}
        return self._allowed(200, {"projects": [found]})

    def new_set(self):
        asked = json.loads(self.body)["subject_sets"]
        number = str(100 + len(self.server.sets))
        made = {"id": number, "metadata": {}, **asked}
        answer = self._allowed(201, {"subject_sets": [made]})
        if answer[0] == 201:
            self.server.sets[number] = made
        return answer

    def subject_set(self, number):
        return self._allowed(200, {"subject_sets": [self.server.sets[number]]})

    def new_subject(self):
        answer = self._allowed(201, None)
        if answer[0] != 201:
            return answer
        asked = json.loads(self.body)["subjects"]
        assert set(asked) == {"locations", "metadata", "links"}, "additional properties"
        number = str(1000 + len(self.server.subjects))
        urls = [f"/media/{number}-{n}" for n in range(len(asked["locations"]))]
        self.server.subjects[number] = {**asked, "u": urls}
        places = [
            {kind: f"{self.server.url}{url}?signature={TOKEN}"}
            for kind, url in zip(asked["locations"], urls)
        ]
        return 201, {"subjects": [{**asked, "id": number, "locations": places}]}

    def link(self, number):
        for subject in json.loads(self.body)["subjects"]:
            assert subject in self.server.subjects
            self.server.members.append((number, subject))
        return self._allowed(201, {"subject_sets": [self.server.sets[number]]})

    def member(self):
        found = [
            {"id": str(n), "links": {}}
            for n, one in enumerate(self.server.members)
            if one == (self.query["subject_set_id"], self.query["subject_id"])
        ]
        return self._allowed(200, {"set_member_subjects": found})

    def take_media(self, name):
        kind = self.headers["Content-Type"]
        if self.query["signature"] != TOKEN or self.headers["x-ms-blob-type"] != "BlockBlob":
            return 403, None
        starts = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}
        if not self.body.startswith(starts[kind]) or len(self.body) > MAX_BYTES:
            return 400, None
        self.server.media[f"/media/{name}"] = self.body
        return 201, None

    def _allowed(self, status, content):
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"errors": [{"message": "You must be logged in to access this resource."}]}
        return status, content


ROUTES = {
    ("GET", "/users/sign_in"): ("token page", Handler.token_page),
    ("POST", "/users/sign_in"): ("sign in", Handler.sign_in),
    ("POST", "/oauth/token"): ("token", Handler.token),
    ("GET", r"/api/projects/(\w+)"): ("project", Handler.project),
    ("POST", "/api/subject_sets"): ("new set", Handler.new_set),
    ("GET", r"/api/subject_sets/(\w+)"): ("set", Handler.subject_set),
    ("POST", r"/api/subject_sets/(\w+)/links/subjects"): ("link", Handler.link),
    ("POST", "/api/subjects"): ("new subject", Handler.new_subject),
    ("GET", "/api/set_member_subjects"): ("member", Handler.member),
    ("PUT", r"/media/([\w-]+)"): ("media", Handler.take_media),
}


@contextmanager
def panoptes_server():
    """A running stand-in; stopped at the end."""
    with Panoptes() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
