"""A Hub on loopback that hands out one dataset at one tag, as huggingface_hub asks for it."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """GET and HEAD of the tree of a repository and of its files."""

    repo, tag, folder, asked = "", "", Path(), []  # noqa: RUF012

    def do_HEAD(self):
        """As GET, without the body."""
        self.do_GET()

    def do_GET(self):
        """Answer with the list of files, with a file, or with the Hub's own kind of 404."""
        path = unquote(self.path.partition("?")[0])
        self.asked.append(path)
        files = {f.relative_to(self.folder).as_posix(): f for f in self.folder.rglob("*") if f.is_file()}
        known = (f"/api/datasets/{self.repo}/revision/{self.tag}", f"/api/datasets/{self.repo}/revision/{COMMIT}")
        where = f"/datasets/{self.repo}/resolve/{COMMIT}/"
        tree = f"/api/datasets/{self.repo}/tree/{COMMIT}"
        if path in known:
            self._json({"id": self.repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        elif path.startswith(tree):
            self._json(
                [{"type": "file", "path": n, "size": f.stat().st_size, "oid": _oid(f)} for n, f in files.items()]
            )
        elif path.startswith(where) and path.removeprefix(where) in files:
            self._send(files[path.removeprefix(where)].read_bytes(), {"ETag": f'"{_oid(files[path[len(where) :]])}"'})
        else:
            code = "RepoNotFound" if self.repo not in path else "RevisionNotFound"
            self._send(b"{}", {"X-Error-Code": code, "X-Error-Message": "not here"}, 404)

    def _json(self, what):
        self._send(json.dumps(what).encode(), {"Content-Type": "application/json"})

    def _send(self, body, headers, status=200):
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


def _oid(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def hub(repo, tag, folder, home):
    """Serve a folder as a repository's tag; yields the environment that a process of its own asks it in."""
    handler = type("OneHub", (Hub,), {"repo": repo, "tag": tag, "folder": Path(folder), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HOME": str(home),
        }
    finally:
        server.shutdown()
        server.server_close()
