"""A hub on this machine for tests: the parts of the Hugging Face and ModelScope APIs that pulling needs, a second
server that plays the network which large files are redirected to, and faults on demand."""

import hashlib
import json
import random
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Repository:
    def __init__(self, files, lfs=(".safetensors", ".gguf", ".bin"), gated=False):
        self.files = dict(files)
        self.lfs = lfs
        self.gated = gated
        self.branches = {"main", "master"}

    def is_lfs(self, path):
        return path.endswith(tuple(self.lfs))

    def commit(self):
        lines = [f"{path} {sha256(content)}" for path, content in sorted(self.files.items())]
        return hashlib.sha1("\n".join(lines).encode()).hexdigest()


class LocalHub:
    """`with LocalHub() as hub`. `hub.requests` are (server, method, path, headers) with header names in lower case."""

    def __init__(self):
        self.repositories = {}
        self.requests = []
        self.token = None          # when set, everything asks for it
        self.ranges = True         # whether Range is honoured
        self.redirect_to_cdn = True
        self.blobs_in_listing = True
        self.cuts = 0              # so many answers with a body still end too early, at random places
        self.cut_after = None      # … or after so many bytes
        self.stalls = 0            # so many bodies still stop in the middle and keep the connection open
        self.wrong_bytes = {}      # path → how many more times one byte of it is wrong
        self.statuses = []         # (part of the path, status, headers): answered once each, in order
        self.signatures_end = None  # after so many requests a signed address is refused
        self.chunk_delay = 0       # seconds between pieces of 64 KiB
        self.on_body = None        # called with (path) before a body is sent
        self.listing_override = None
        self.lock = threading.Lock()
        self.random = random.Random(7)
        self.release = threading.Event()

    def __enter__(self):
        self.servers = {}
        for name in ("hub", "cdn"):
            server = Server(("127.0.0.1", 0), make_handler(self, name))
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self.servers[name] = server
        return self

    def __exit__(self, *_):
        self.release.set()
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def url(self, name="hub"):
        return f"http://127.0.0.1:{self.servers[name].server_address[1]}"

    def environment(self, cache, **more):
        return {"HF_ENDPOINT": self.url(), "MODELSCOPE_ENDPOINT": self.url(), "HF_HUB_CACHE": str(cache),
                "HF_TOKEN": "", "HF_HOME": str(cache) + "-home", "no_proxy": "127.0.0.1", **more}

    def paths(self, server=None, method="GET"):
        return [path for where, how, path, _ in self.requests if server in (None, where) and how == method]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that leave are part of the tests


def make_handler(hub, name):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", headers=None):
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def answer_json(self, value, status=200, headers=None):
            self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

        def do_HEAD(self):
            self.serve()

        def do_GET(self):
            self.serve()

        def serve(self):
            headers = {key.lower(): value for key, value in self.headers.items()}
            with hub.lock:
                hub.requests.append((name, self.command, self.path, headers))
                fault = next((f for f in hub.statuses if f[0] in name + self.path), None)
                if fault:
                    hub.statuses.remove(fault)
            if fault:
                return self.answer(fault[1], b"not now", fault[2])
            parsed = urllib.parse.urlsplit(self.path)
            path, query = parsed.path, dict(urllib.parse.parse_qsl(parsed.query))
            if name == "cdn":
                return self.serve_cdn(urllib.parse.unquote(path), query)
            if hub.token and headers.get("authorization") != f"Bearer {hub.token}":
                return self.answer(401, b"no", {"X-Error-Code": "RepoNotFound"})
            if path == "/api/models":
                return self.answer_json([{"id": each} for each in hub.repositories])
            if path.startswith("/api/v1/models/"):
                return self.serve_modelscope(path[len("/api/v1/models/"):], query)
            if path.startswith("/api/models/"):
                return self.serve_listing(path[len("/api/models/"):])
            return self.serve_resolve(path)

        def serve_listing(self, rest):
            repository, _, revision = rest.partition("/revision/")
            found = hub.repositories.get(repository)
            if found is None:
                return self.answer(401, b"no", {"X-Error-Code": "RepoNotFound"})
            if urllib.parse.unquote(revision) not in found.branches | {found.commit()}:
                return self.answer(404, b"no", {"X-Error-Code": "RevisionNotFound"})
            if hub.listing_override is not None:
                return self.answer(200, hub.listing_override)
            siblings = []
            for path, content in found.files.items():
                entry = {"rfilename": path}
                if hub.blobs_in_listing:
                    entry |= {"size": len(content), "blobId": git_sha1(content)}
                    if found.is_lfs(path):
                        entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
                siblings.append(entry)
            self.answer_json({"id": repository, "sha": found.commit(), "gated": found.gated and "manual",
                              "siblings": siblings})

        def serve_resolve(self, path):
            repository, _, rest = path[1:].partition("/resolve/")
            found = hub.repositories.get(repository)
            if found is None:
                return self.answer(404, b"no", {"X-Error-Code": "RepoNotFound"})
            if found.gated and not self.headers.get("Authorization"):
                return self.answer(401, b"no", {"X-Error-Code": "GatedRepo"})
            file = urllib.parse.unquote(rest.partition("/")[2])
            content = found.files.get(file)
            if content is None:
                return self.answer(404, b"no", {"X-Error-Code": "EntryNotFound"})
            extra = {"X-Repo-Commit": found.commit()}
            if found.is_lfs(file):
                extra |= {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
                if hub.redirect_to_cdn:
                    target = f"{hub.url('cdn')}/{repository}/{urllib.parse.quote(file)}?Signature=s3cr3t"
                    return self.answer(302, b"", {**extra, "Location": target})
                return self.serve_bytes(file, content, f'"{sha256(content)}"', extra)
            self.serve_bytes(file, content, f'"{git_sha1(content)}"', extra)

        def serve_modelscope(self, rest, query):
            org, model, what = rest.split("/", 2)
            found = hub.repositories.get(f"{org}/{model}")
            if found is None:
                return self.answer_json({"Code": 10010205001, "Message": "not found", "Success": False}, 404)
            if what == "repo/files":
                files = None
                if query["Revision"] in found.branches:
                    files = [{"Path": "sub", "Name": "sub", "Type": "tree", "Size": 0}] + [
                        {"Path": path, "Name": path.split("/")[-1], "Type": "blob", "Size": len(content),
                         "Sha256": sha256(content), "Revision": found.commit(), "IsLFS": found.is_lfs(path)}
                        for path, content in found.files.items()]
                return self.answer_json({"Code": 200, "Success": True, "Message": "success",
                                         "Data": {"Files": files, "IsVisual": 0}})
            content = found.files.get(query["FilePath"])
            if content is None or query["Revision"] != found.commit():
                return self.answer_json({"Code": 404, "Message": "no such file"}, 404)
            if found.is_lfs(query["FilePath"]) and hub.redirect_to_cdn:
                target = f"{hub.url('cdn')}/{org}/{model}/{urllib.parse.quote(query['FilePath'])}?Signature=s3cr3t"
                return self.answer(302, b"", {"Location": target})
            self.serve_bytes(query["FilePath"], content, f'"{sha256(content)}"', {})

        def serve_cdn(self, path, query):
            org, model, file = path[1:].split("/", 2)
            content = hub.repositories[f"{org}/{model}"].files.get(file)
            with hub.lock:
                ended = hub.signatures_end == 0
                if hub.signatures_end is not None:
                    hub.signatures_end = 6 if ended else hub.signatures_end - 1
            if query.get("Signature") != "s3cr3t" or ended:
                return self.answer(403, b"signature")
            if content is None:
                return self.answer(404)
            self.serve_bytes(file, content, f'"{sha256(content)}"', {})

        def serve_bytes(self, path, content, etag, extra):
            if hub.on_body:
                hub.on_body(path)
            first, last, status = 0, len(content) - 1, 200
            wanted = self.headers.get("Range")
            condition = self.headers.get("If-Range")
            if wanted and hub.ranges and (condition is None or condition == etag):
                begin, _, end = wanted.removeprefix("bytes=").partition("-")
                first, last, status = int(begin), min(int(end or last), last), 206
                if first > last:
                    return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            body = content[first:last + 1]
            self.send_response(status)
            for key, value in extra.items():
                self.send_header(key, value)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(body)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            if self.command == "HEAD":
                return
            end, stall = len(body), False
            with hub.lock:
                if hub.wrong_bytes.get(path, 0) > 0 and body:
                    hub.wrong_bytes[path] -= 1
                    at = hub.random.randrange(len(body))
                    body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
                if hub.cuts > 0 and len(body) > 1:
                    hub.cuts -= 1
                    end = hub.cut_after if hub.cut_after is not None else hub.random.randrange(len(body))
                elif hub.stalls > 0 and len(body) > 1:
                    hub.stalls -= 1
                    end, stall = len(body) // 2, True
            for at in range(0, end, 65536):
                self.wfile.write(body[at:min(at + 65536, end)])
                if hub.chunk_delay:
                    time.sleep(hub.chunk_delay)
            if stall:
                self.wfile.flush()
                hub.release.wait(60)
            if end < len(body):
                self.close_connection = True

    return Handler
