#!/usr/bin/env python3
"""Sends `combiner serve` requests that are damaged at random. It must answer or hang up, and go on.

Usage: mutations_test.py PROGRAM [--requests N] [--seed S]
"""

import argparse
import collections
import json
import random
import re
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from serving import SECONDS, Server, encoded

import numpy as np
import png_numpy

CLIENTS = 8


def request(line, body=None, *headers):
    text = [line + " HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        body = json.dumps(body)
        text += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(text) + "\r\n\r\n" + (body or "")).encode()


def originals(job):
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        png_numpy.write(file.name, np.zeros((8, 6, 3), np.uint8))
        picture = encoded(file.read())
    return [
        request("GET /", None, "Range: bytes=0-1,2-3", "Accept-Encoding: gzip, br"),
        request("GET /v1/models", None, "Origin: http://localhost", "Connection: keep-alive"),
        request(f"GET /v1/jobs/{job}/events", None, "Last-Event-ID: 3"),
        request(f"GET /v1/jobs/{job}/images/0.png"),
        request(f"GET /v1/jobs/{job}/images/0.png") + request("GET /health"),
        request(f"DELETE /v1/jobs/{job}"),
        request("POST /v1/samples", {"count": 1, "seed": 3, "top_p": 0.5, "precision": "f32"},
                "Expect: 100-continue", "Authorization: Bearer 0123456789abcdef"),
        request("POST /v1/completions", {"picture": picture, "keep_rows": 7, "count": 1}),
        request("POST /v1/likelihoods", {"pictures": [picture], "resize": True}),
        request("POST /v1/compress", {"pictures": [{"data": picture, "name": "a.png"}]}),
        request("POST /v1/decompress", {"file": picture}),
        request("POST /v1/samples").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n"
                                            b"Content-Type: application/json\r\n\r\n2\r\n{}\r\n"),
    ]


def mutated(data, choices):
    data = bytearray(data)
    for _ in range(choices.choice([0, 1, 1, 2, 3, 8])):
        at = choices.randrange(len(data) + 1)
        end = min(len(data), at + choices.choice([1, 1, 2, 8, 64]))
        kind = choices.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << choices.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end] * choices.choice([1, 2, 200])
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            data[at:at] = choices.choice([b"\r\n", b"\n", b"\0", b":", b" ", b"\xff", b"%00", b"/../",
                                          b"\r\n\r\n", b"{", b"[", b'"', b"9" * 30])
        elif kind == 5:
            data[at:end] = bytes(choices.randrange(256) for _ in range(end - at))
        elif kind == 6:
            numbers = list(re.finditer(rb"\d+", data))
            number = choices.choice(numbers) if numbers else None
            if number:
                data[number.start():number.end()] = choices.choice(
                    [b"0", b"-1", b"1e999", b"18446744073709551616", b"2147483648", b"65536"])
        if not data:
            break
    return bytes(data)


def answer_to(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
        except (BrokenPipeError, ConnectionResetError):
            return None  # it hung up
        return answer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts, lock = collections.Counter(), threading.Lock()
    started = time.monotonic()
    with Server(arguments.program, "--threads", "1") as server:
        job = server.start("/v1/samples", {})
        server.wait(job)
        bases = originals(job)

        def send(index):
            choices = random.Random(arguments.seed * 1000003 + index)
            data = mutated(choices.choice(bases), choices)
            answer = answer_to(server.port, data)
            status = re.match(rb"HTTP/1\.1 (\d\d\d) ", answer or b"")
            what = status[1].decode() if status else "nothing"
            if answer and not status or what == "500":
                raise AssertionError(f"request {index}: {data!r} is answered {answer[:300]!r}")
            with lock:
                counts[what] += 1

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(send, range(arguments.requests)))
        while (answer := server.ask("POST", "/v1/samples", {}))[0] == 429:  # it has jobs to do yet
            time.sleep(0.05)
        assert answer[0] == 202, answer
        server.wait(json.loads(answer[2])["id"])  # it still works
    # A sixth of the requests is undamaged. A slow machine has no time for all of them.
    done = sum(count for status, count in counts.items() if status[0] == "2" or status == "429")
    assert done >= arguments.requests / 20 and counts["400"] > 0, counts
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
    print(f"{arguments.requests} requests in {time.monotonic() - started:.1f} s ({answers})")


if __name__ == "__main__":
    main()
