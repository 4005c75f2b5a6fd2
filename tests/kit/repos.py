"""What a Hub holds: repositories with their commits and tags, the contents of files, and who may do what."""

import base64
import hashlib
from dataclasses import dataclass, field

LFS = (".parquet", ".safetensors", ".bin", ".npz")


class Refused(Exception):
    """What is answered in the place of a result: a status, and the Hub's own code and words for it."""

    def __init__(self, status, code="", message="", body=None):
        super().__init__(message)
        self.status, self.body = status, body or {"error": message}
        self.headers = {name: v for name, v in (("X-Error-Code", code), ("X-Error-Message", message)) if v}


@dataclass
class User:
    name: str
    role: str = "write"  # of the token: none, read or write
    orgs: tuple = ()


@dataclass
class Commit:
    oid: str
    title: str
    files: dict  # path -> sha256 of its content


@dataclass
class Repo:
    kind: str  # datasets or models
    name: str
    private: bool = True
    commits: list = field(default_factory=list)
    tags: dict = field(default_factory=dict)

    @property
    def head(self):
        return self.commits[-1]

    def add(self, title, files):
        """Make the next commit of all the files that it is to hold."""
        named = f"{self.kind}/{self.name} {len(self.commits)} {title} {sorted(files.items())}"
        self.commits.append(Commit(hashlib.sha1(named.encode()).hexdigest(), title, files))
        return self.head

    def at(self, revision):
        """The commit that a branch, a tag or a hash names."""
        oid = self.head.oid if revision in ("main", "refs/heads/main") else self.tags.get(revision, revision)
        found = [c for c in self.commits if c.oid == oid]
        if not found:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found[0]


class Holdings:
    """All repositories, the contents that their commits name, and the tokens."""

    def __init__(self):
        self.repos, self.blobs, self.tokens = {}, {}, {}

    def keep(self, data):
        """Keep a content; its sha256."""
        self.blobs[digest := hashlib.sha256(data).hexdigest()] = data
        return digest

    def create(self, kind, name, private=True):
        attributes = self.keep(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")
        repo = self.repos[kind, name] = Repo(kind, name, private)
        repo.add("initial commit", {".gitattributes": attributes})
        return repo

    def user(self, header):
        """Whose token it is; None for nobody's."""
        if not header:
            return None
        if (token := header.removeprefix("Bearer ")) not in self.tokens:
            raise Refused(401, "", "Invalid credentials in Authorization header")
        return self.tokens[token]

    def find(self, kind, name, user, write=False):
        """A repository that this user may see, and if asked write to."""
        repo = self.repos.get((kind, name))
        if repo is None or (repo.private and not (user and user.role != "none" and _member(user, name))):
            raise Refused(404 if user else 401, "RepoNotFound", "Repository not found")
        if write:
            self.may_write(name, user)
        return repo

    def may_write(self, name, user):
        if user is None:
            raise Refused(401, "", "Invalid username or password.")
        if user.role != "write" or not _member(user, name):
            raise Refused(403, "", f"you must be a member of {name.split('/')[0]} with a token that may write")

    def commit(self, repo, lines):
        """Apply a commit's lines, unless somebody committed since its parent."""
        head, files = lines[0]["value"], dict(repo.head.files)
        if head.get("parentCommit") not in (None, repo.head.oid):
            raise Refused(412, "", "A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            value, path = line["value"], line["value"]["path"]
            if line["key"] == "file":
                files[path] = self.keep(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.blobs:
                    raise Refused(400, "", f"LFS pointer pointed to a file that does not exist: {path}")
                files[path] = value["oid"]
            elif line["key"] == "deletedFile":
                del files[path]
        return repo.add(head["summary"], files)

    def entry(self, path, digest):
        """How the Hub lists a file."""
        data = self.blobs[digest]
        found = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
        return found | ({"lfs": {"oid": digest, "size": len(data), "pointerSize": 134}} if is_lfs(path) else {})


def _member(user, name):
    return name.split("/")[0] in (user.name, *user.orgs)


def is_lfs(path):
    return path.endswith(LFS)


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
