#!/usr/bin/env python3
"""Tests that tools/bench_serve ends with the error of a client that fails."""

import http.server
import importlib.machinery
import importlib.util
import json
import os
import threading
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "bench_serve")


def load_tool():
    loader = importlib.machinery.SourceFileLoader("bench_serve", TOOL)
    tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_serve", loader))
    loader.exec_module(tool)
    return tool


class Server(http.server.BaseHTTPRequestHandler):
    """Draws all images but the fourth."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"id": asked["first"]})

    def do_GET(self):
        failed = "/3/" in self.path
        self.answer({"state": "failed", "error": "no fourth"} if failed else {"state": "done"})

    def answer(self, value):
        body = json.dumps(value, separators=(",", ":")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class BenchServe(unittest.TestCase):
    def served(self, clients, count):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return load_tool().served(server.server_port, clients, count, 0)

    def test_serves_all(self):
        self.assertGreater(self.served(3, 1), 0)

    def test_a_failing_client_ends_the_run(self):
        with self.assertRaisesRegex(SystemExit, "no fourth"):
            self.served(4, 2)


if __name__ == "__main__":
    unittest.main()
