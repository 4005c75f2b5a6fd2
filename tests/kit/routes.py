"""What a Hub on loopback answers to: each function is the answer to one method and pattern of paths."""

import json
import re
from urllib.parse import parse_qs

import yaml
from kit.repos import Refused, git_oid, is_lfs

ROUTES = []


def route(method, pattern):
    """Have a function answer the paths of this pattern; it gets what the pattern names, unquoted."""
    named = pattern.replace("REPO", r"(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)").replace("REV", "(?P<rev>[^/]+)")
    return lambda function: ROUTES.append((method, re.compile(named), function)) or function


# -- who, and what there is


@route("GET", "/api/whoami-v2")
def whoami(self, user):
    if user is None:
        raise Refused(401, "", "Invalid username or password.")
    orgs = [{"name": org, "type": "org"} for org in user.orgs]
    token = {"accessToken": {"displayName": "test", "role": user.role}}
    self.send(200, {"type": "user", "name": user.name, "fullname": user.name, "orgs": orgs, "auth": token})


@route("POST", "/api/repos/create")
def create(self, user):
    asked = self.json()
    kind, name = f"{asked.get('type') or 'model'}s", f"{asked.get('organization') or user.name}/{asked['name']}"
    self.hub.may_write(name, user)
    url = f"{self.hub.url}/{'datasets/' if kind == 'datasets' else ''}{name}"
    if any(held == name for _, held in self.hub.repos):
        raise Refused(409, "", "You already created this repo", {"error": "You already created this repo", "url": url})
    self.hub.create(kind, name, asked.get("visibility") == "private")
    self.send(200, {"url": url, "name": name, "id": name})


@route("PUT", "/api/REPO/settings")
def settings(self, user, kind, name):
    self.hub.find(kind, name, user, write=True).private = self.json()["visibility"] == "private"
    self.send(200, {})


@route("GET", "/api/REPO(?:/revision/REV)?")
def info(self, user, kind, name, rev="main"):
    repo = self.hub.find(kind, name, user)
    commit = repo.at(rev)
    files = [self.hub.entry(*f) for f in commit.files.items()]
    siblings = [{"rfilename": f["path"]} | (_blob(f) if self.query.get("blobs") == "true" else {}) for f in files]
    told = {"id": name, "author": name.split("/")[0], "sha": commit.oid, "private": repo.private, "siblings": siblings}
    told |= {"lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z", "tags": []}
    self.send(200, told | {"gated": False, "disabled": False, "downloads": 0, "likes": 0, "cardData": {}})


def _blob(entry):
    """What is told of a file where ?blobs=true asks for it."""
    told, lfs = {"size": entry["size"], "blobId": entry["oid"]}, entry.get("lfs")
    return told | ({"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": 134}} if lfs else {})


@route("GET", "/api/REPO/refs")
def refs(self, user, kind, name):
    repo = self.hub.find(kind, name, user)
    tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": oid} for t, oid in repo.tags.items()]
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}
    self.send(200, {"branches": [main], "converts": [], "tags": tags, "pullRequests": []})


@route("GET", "/api/REPO/commits/REV")
def commits(self, user, kind, name, rev):
    repo = self.hub.find(kind, name, user)
    until = repo.commits[: repo.commits.index(repo.at(rev)) + 1]
    told = {"message": "", "authors": [{"user": "ana"}], "date": "2026-01-01T00:00:00.000Z"}
    self.send(200, [{"id": c.oid, "title": c.title, **told} for c in reversed(until)])


@route("GET", "/api/REPO/tree/REV(?:/(?P<path>.*))?")
def tree(self, user, kind, name, rev, path=""):
    files = self.hub.find(kind, name, user).at(rev).files
    inside = {p: d for p, d in files.items() if not path or p.startswith(f"{path}/")}
    if path and not inside:
        raise Refused(404, "EntryNotFound", f"{path} does not exist")
    start = len(path) + 1 if path else 0
    found = [
        self.hub.entry(*f) for f in inside.items() if self.query.get("recursive") == "true" or "/" not in f[0][start:]
    ]
    folders = {p[: p.index("/", start)] for p in inside if "/" in p[start:]}
    self.send(200, [_folder(f) for f in sorted(folders)] + found)


def _folder(path):
    return {"type": "directory", "path": path, "oid": git_oid(path.encode()), "size": 0}


@route("POST", "/api/REPO/paths-info/REV")
def paths_info(self, user, kind, name, rev):
    files = self.hub.find(kind, name, user).at(rev).files
    form = self.headers.get("Content-Type", "").startswith("application/x-www-form")
    paths = parse_qs(self.body.decode()).get("paths", []) if form else self.json()["paths"]
    found = [self.hub.entry(p, files[p]) for p in paths if p in files]
    self.send(200, found + [_folder(p) for p in paths if any(f.startswith(f"{p}/") for f in files)])


@route("GET", r"/(?:(?P<kind>datasets)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")
def resolve(self, user, name, rev, path, kind="models"):
    commit = self.hub.find(kind, name, user).at(rev)
    if path not in commit.files:
        raise Refused(404, "EntryNotFound", f"{path} does not exist")
    data = self.hub.blobs[digest := commit.files[path]]
    etag = f'"{digest if is_lfs(path) else git_oid(data)}"'
    headers = {"X-Repo-Commit": commit.oid, "ETag": etag, "Accept-Ranges": "bytes"}
    headers |= {"Content-Type": "application/octet-stream"}
    headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(len(data))} if is_lfs(path) else {}
    if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        headers |= {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        return self.send(206, data[first : last + 1], headers)
    self.send(200, data, headers)


# -- writing


@route("POST", "/api/validate-yaml")
def validate_yaml(self, user):
    found = re.match(r"---\n(.*?)\n---\n", self.json()["content"], re.S)
    try:
        yaml.safe_load(found[1] if found else "")
    except yaml.YAMLError as e:
        raise Refused(400, "", "Invalid metadata", {"errors": [{"message": str(e)}], "warnings": []}) from e
    self.send(200, {"errors": [], "warnings": []})


@route("POST", "/api/REPO/preupload/REV")
def preupload(self, user, kind, name, rev):
    held = self.hub.find(kind, name, user, write=True).at(rev).files

    def told(path):
        digest = held.get(path)
        oid = digest if digest is None or is_lfs(path) else git_oid(self.hub.blobs[digest])
        mode = {"path": path, "uploadMode": "lfs" if is_lfs(path) else "regular", "shouldIgnore": False}
        return mode | ({"oid": oid} if oid else {})

    self.send(200, {"files": [told(f["path"]) for f in self.json()["files"]]})


@route("POST", r"/(?:(?P<kind>datasets)/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
def batch(self, user, name, kind="models"):
    self.hub.find(kind, name, user, write=True)

    def told(asked):
        oid, found = asked["oid"], {"oid": asked["oid"], "size": asked["size"]}
        if oid in self.hub.blobs:
            return found
        href = f"{self.hub.url}/lfs-upload/{oid}"
        return found | {"actions": {"upload": {"href": href}, "verify": {"href": f"{self.hub.url}/lfs-verify/{oid}"}}}

    self.send(200, {"transfer": "basic", "objects": [told(o) for o in self.json()["objects"]]})


@route("PUT", "/lfs-upload/(?P<oid>[0-9a-f]{64})")
def upload(self, user, oid):
    if self.hub.keep(self.body) != oid:
        raise Refused(400, "", "the content is another than was announced")
    self.send(200, b"")


@route("POST", "/lfs-verify/(?P<oid>[0-9a-f]{64})")
def verify(self, user, oid):
    self.send(200 if oid in self.hub.blobs else 404, {})


@route("POST", "/api/REPO/commit/REV")
def commit(self, user, kind, name, rev):
    repo = self.hub.find(kind, name, user, write=True)
    done = self.hub.commit(repo, [json.loads(line) for line in self.body.splitlines() if line.strip()])
    url = f"{self.hub.url}/{kind}/{name}/commit/{done.oid}"
    self.send(200, {"success": True, "commitOid": done.oid, "commitUrl": url, "hookOutput": ""})


@route("POST", "/api/REPO/tag/REV")
def tag(self, user, kind, name, rev):
    repo, wanted = self.hub.find(kind, name, user, write=True), self.json()["tag"]
    if wanted in repo.tags:
        raise Refused(409, "", f"Tag {wanted} already exists")
    repo.tags[wanted] = repo.at(rev).oid
    self.send(200, {})


@route("DELETE", "/api/REPO/tag/REV")
def untag(self, user, kind, name, rev):
    if self.hub.find(kind, name, user, write=True).tags.pop(rev, None) is None:
        raise Refused(404, "RevisionNotFound", f"no tag {rev}")
    self.send(200, {})
