"""A Hub on loopback that huggingface_hub and datasets read from and write to, and that fails where it is told to."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote

from kit.repos import Holdings, Refused, User
from kit.routes import ROUTES


class Hub(Holdings):
    """The Hub that a test sees: what it holds, what it was asked, and what it is to fail at."""

    def __init__(self, home):
        super().__init__()
        self.home, self.asked, self.faults, self.url = home, [], [], ""
        self.tokens = {
            "hf_writer": User("ana", "write", ("org",)),
            "hf_reader": User("ana", "read", ("org",)),
            "hf_none": User("ana", "none", ("org",)),
            "hf_stranger": User("zoe", "write"),
        }

    def fault(self, method, pattern, act, times=1):
        """Fail at the next requests whose path holds this pattern.

        `act`: a status; "cut", to close the connection in the middle of what is sent or received; or a function that
        is called before the request is answered as always.
        """
        self.faults.append([method, re.compile(pattern), act, times])

    def struck(self, method, path):
        """What the next fault that fits is to do."""
        for fault in self.faults:
            if fault[0] == method and fault[1].search(path) and fault[3] > 0:
                fault[3] -= 1
                return fault[2]
        return None

    def put(self, name, folder, tag=None, kind="datasets", private=False):
        """Hold a folder as the next commit of a repository; its hash."""
        repo = self.repos.get((kind, name)) or self.create(kind, name, private)
        files = {f.relative_to(folder).as_posix(): f for f in Path(folder).rglob("*") if f.is_file()}
        commit = repo.add("by hand", {n: self.keep(f.read_bytes()) for n, f in files.items()})
        repo.tags |= {tag: commit.oid} if tag else {}
        return commit.oid

    def env(self, token=None):
        """The environment that a process of its own asks this Hub in."""
        found = {"HF_ENDPOINT": self.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(self.home)}
        return found | {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_OFFLINE": "0", "HF_TOKEN": token or ""}

    def api(self, token="hf_writer"):
        """The real client, with a token; False: without one."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=token)


@contextmanager
def hub(home):
    """Serve an empty Hub."""
    one = Hub(home)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHub", (Handler,), {"hub": one}))
    server.daemon_threads = True
    one.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", 2**16  # in one write; two wait for each other's acknowledgement
    hub: Hub

    def answer(self):
        path, _, query = self.path.partition("?")
        self.query, self.cut = {n: v[-1] for n, v in parse_qs(query).items()}, False
        self.hub.asked.append((self.command, unquote(path)))
        act = self.hub.struck(self.command, path)
        length = int(self.headers.get("Content-Length") or 0)
        if act == "cut" and length:
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        self.cut, self.body = act == "cut", self.rfile.read(length)
        if callable(act):
            act()
        try:
            if isinstance(act, int):
                raise Refused(act, "", "the Hub was told to fail here")
            self.dispatch(path)
        except Refused as e:
            self.send(e.status, e.body, e.headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def dispatch(self, path):
        method = "GET" if self.command == "HEAD" else self.command
        for verb, pattern, function in ROUTES:
            if verb == method and (found := pattern.fullmatch(path)):
                user = self.hub.user(self.headers.get("Authorization")) if "lfs-upload" not in path else None
                return function(self, user, **{n: unquote(v) for n, v in found.groupdict().items() if v is not None})
        raise Refused(404, "EntryNotFound" if "/resolve/" in path else "RepoNotFound", f"nothing at {path}")

    def json(self):
        return json.loads(self.body or b"{}")

    def send(self, status, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if self.cut else data)
        self.close_connection = self.close_connection or self.cut

    def log_message(self, *args):
        pass
