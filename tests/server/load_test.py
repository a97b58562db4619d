#!/usr/bin/env python3
"""Tests `combiner serve` with many clients at once, and with clients that do not read.

Usage: load_test.py PROGRAM
"""

import json
import random
import socket
import sys
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from serving import SECONDS, Server, server_seconds

import numpy as np

PROGRAM = sys.argv.pop(1)
CLIENTS = 200
SEED = 5
# The address sanitizer, where there is one, would keep memory that is given back.
GIVES_BACK = {"ASAN_OPTIONS": "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:detect_leaks=0"}


class Load(unittest.TestCase):
    def one_client(self, server, index, together):
        """Returns the image it was sent, or None if it cancelled."""
        choices = random.Random(index)
        together.wait(SECONDS)
        job = server.start("/v1/samples", {"seed": SEED, "first": index})
        if choices.random() < 0.3:
            time.sleep(0.05 * choices.random())
            state = server.json("DELETE", f"/v1/jobs/{job}")["state"]
            self.assertIn(state, ("cancelled", "done"))
            if state == "cancelled":
                return None
        self.assertEqual(server.events(job)[-1][2]["state"], "done")
        return server.ask("GET", f"/v1/jobs/{job}/images/0.png")[2]

    def rush(self, server):
        together = threading.Barrier(CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as clients:
            return list(clients.map(lambda i: self.one_client(server, i, together),
                                    range(CLIENTS)))

    def test_200_requests_at_once_are_all_answered(self):
        with Server(PROGRAM, "--threads", "2", height=16, width=16, environment=GIVES_BACK) as server:
            expected = server.draws("sample", "-n", CLIENTS, "--seed", SEED)
            self.rush(server)
            resident = server.resident_bytes()
            answers = self.rush(server)
            drawn = [index for index, png in enumerate(answers) if png is not None]
            for index in drawn:
                np.testing.assert_array_equal(server.pixels_of(answers[index]), expected[index])
            self.assertGreater(len(drawn), CLIENTS // 2)
            deadline = time.monotonic() + SECONDS
            while server.metric("images_active") + server.metric("work_waiting") > 0:
                self.assertLess(time.monotonic(), deadline)
            grown = server.resident_bytes() - resident
            self.assertLess(grown, 16 << 20)
            print(f"{CLIENTS} at once: {len(drawn)} drawn, {CLIENTS - len(drawn)} cancelled, "
                  f"memory {grown / 2**20:+.1f} MiB of {resident / 2**20:.1f}")

    def test_slow_readers_block_nobody(self):
        with Server(PROGRAM, "--threads", "2", height=32, width=32) as server:
            def start_many():
                return server.start("/v1/samples", {"count": 64, "seed": 1})

            def time_of_one():
                began = time.monotonic()
                server.wait(server.start("/v1/samples", {"seed": 2}))
                return time.monotonic() - began

            job = start_many()
            undisturbed = time_of_one()
            server.wait(job)
            job = start_many()
            began = time.monotonic()
            slow = []
            for _ in range(100):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                # The server's side would buffer all that is sent in large segments.
                reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
                reader.connect(("127.0.0.1", server.port))
                reader.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
                               .encode())
                slow.append(reader)
            took = time_of_one()
            print(f"with 100 readers that do not read, an image takes {took:.2f} s, without them "
                  f"{undisturbed:.2f} s")
            # Whoever waited for such a reader would have waited until it is cut off.
            self.assertLess(took, undisturbed + server_seconds("kWriteTime"))
            server.wait(job)
            whole = server.events(job)
            self.assertEqual(len(whole), 64 * 33 + 1)
            # They hear everything, if they read before the server cuts them off.
            text = b""
            while b"event: end" not in text and (part := slow[0].recv(1 << 16)):
                text = text[-100:] + part
            if b"event: end" not in text:
                self.assertGreater(time.monotonic() - began, server_seconds("kWriteTime"))
            for reader in slow:
                reader.close()

    def test_followers_are_limited_and_others_still_answered(self):
        with Server(PROGRAM, "--threads", "1", height=64, width=64) as server:
            job = server.start("/v1/samples", {"count": 256})
            held = []
            refused = 0
            for _ in range(260):
                connection = server.connect()
                connection.request("GET", f"/v1/jobs/{job}/events")
                response = connection.getresponse()
                if response.status == 503:
                    refused += 1
                    self.assertEqual(json.loads(response.read())["error"]["code"], "too_many")
                held.append(connection)
            self.assertEqual(refused, 260 - 256)
            server.json("GET", "/health")
            for connection in held:
                connection.close()

    def test_connections_are_limited(self):
        with Server(PROGRAM, "--threads", "1") as server:
            held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(512)]
            deadline = time.monotonic() + SECONDS
            while True:
                one = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)
                one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = one.recv(1000)
                one.close()
                if answer.startswith(b"HTTP/1.1 503 "):
                    break
                self.assertLess(time.monotonic(), deadline)
            for connection in held:
                connection.close()
            while server.ask("GET", "/health")[0] != 200:
                self.assertLess(time.monotonic(), deadline)


if __name__ == "__main__":
    unittest.main()
