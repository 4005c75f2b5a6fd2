"""A real HTTP peer that says what a test tells it to: each chat request is handed to a function of its number."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, **more):
    """The body of a chat completion with this text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    choice["message"].update(more.pop("message", {}))
    choice.update(more.pop("choice", {}))
    return {"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 20}, **more}


GOOD = completion("<think>Because.</think><answer>upregulated</answer>")


class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128


@contextmanager
def peer(say, models=None, port=0):
    """Serve on loopback. `say(n, body)` returns (status, body or bytes, headers), "cut" or "hang" for request n."""
    asked, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.reply(*(models or (200, {"object": "list", "data": []}, {})))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked.append({"time": time.monotonic(), "body": body, "headers": self.headers, "path": self.path})
                n = len(asked)
            said = say(n, body)
            if said == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
                self.close_connection = True
            elif said == "hang":
                time.sleep(2)
                self.close_connection = True
            else:
                self.reply(*said)

        def reply(self, status, body, headers):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
