"""A running `combiner serve` with a tiny model, and a plain client of it."""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROJECT = os.path.join(TESTS, "..")
sys.path[:0] = [TESTS, os.path.join(PROJECT, "tools"), os.path.join(PROJECT, "tools", "compare")]

try:
    import numpy  # noqa: F401
except ModuleNotFoundError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

import png_numpy  # noqa: E402
import random_weights  # noqa: E402
from tiny_config import tiny_config  # noqa: E402

HEIGHT, WIDTH = 8, 6
SECONDS = 300  # that anything may take


def server_seconds(name):
    """A time of the server's own limits."""
    with open(os.path.join(PROJECT, "src", "server", "limits.h")) as file:
        return int(re.search(rf"\b{name}{{(\d+)}}", file.read())[1])


class Server:
    """`with Server(PROGRAM) as server:` ends it as Ctrl-C does, and checks how it ends."""

    def __init__(self, program, *options, height=HEIGHT, width=WIDTH, models=None,
                 environment=None):
        self.program, self.options, self.environment = program, options, environment or {}
        self.folder = tempfile.TemporaryDirectory()
        self.models = models or [self.make_model("tiny", height, width)]

    def make_model(self, name, height=HEIGHT, width=WIDTH, **changes):
        config = os.path.join(self.folder.name, f"{name}.json")
        model = os.path.join(self.folder.name, f"{name}.safetensors")
        with open(config, "w") as file:
            json.dump(tiny_config(height, width, **changes), file)
        random_weights.write_random_weights(config, model)
        return model

    def __enter__(self):
        named = [word for model in self.models for word in ("--model", model)]
        self.process = subprocess.Popen(
            [self.program, "serve", "--port", "0", *named, *self.options], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **self.environment})
        line = self.process.stdout.readline()
        found = re.match(r"http://(\S+):(\d+)/ serves ", line)
        if not found:
            raise AssertionError(f"{line}{self.process.stderr.read()}")
        self.host, self.port = found[1], int(found[2])
        return self

    def __exit__(self, kind, *_):
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        try:
            _, err = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.seconds_to_end = time.monotonic() - started
        self.folder.cleanup()
        if kind is None:
            assert self.process.returncode == 130, (self.process.returncode, err)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def ask(self, method, path, body=None, headers=()):
        """Returns (status, headers, bytes)."""
        headers = dict(headers)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            if not isinstance(body, (str, bytes)):
                body = json.dumps(body)
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, status=200, headers=()):
        got, _, data = self.ask(method, path, body, headers)
        assert got == status, (method, path, got, data[:500])
        return json.loads(data)

    def start(self, path, body):
        return self.json("POST", path, body, 202)["id"]

    def wait(self, job, state="done"):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = self.json("GET", f"/v1/jobs/{job}")
            if found["state"] not in ("queued", "running"):
                assert found["state"] == state, found
                return found
            time.sleep(0.005)
        raise AssertionError(f"job {job} does not end")

    def events(self, job, after=0, most=None):
        """Returns [(id, kind, data)]."""
        connection = self.connect()
        connection.request("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(after)})
        response = connection.getresponse()
        assert response.status == 200, response.status
        found, fields = [], {}
        while most is None or len(found) < most:
            line = response.readline().decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields.get("id"):
                found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                if fields["event"] == "end":
                    break
                fields = {}
        connection.close()
        return found

    def pixels(self, job, index):
        status, _, data = self.ask("GET", f"/v1/jobs/{job}/images/{index}.png")
        assert status == 200, (status, data)
        return self.pixels_of(data)

    def pixels_of(self, png):
        path = os.path.join(self.folder.name, "read.png")
        with open(path, "wb") as file:
            file.write(png)
        return png_numpy.read(path)

    def draws(self, command, *options):
        """The pictures that the program itself draws into a folder, by name."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([self.program, command, "--model", self.models[0], *map(str, options),
                            "-o", folder + "/"], check=True, capture_output=True)
            return [png_numpy.read(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]

    def metric(self, name):
        text = self.ask("GET", "/metrics")[2].decode()
        return float(re.search(rf"^combiner_{re.escape(name)} (.*)$", text, re.MULTILINE)[1])

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def encoded(data):
    return base64.b64encode(data).decode()
