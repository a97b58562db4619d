#!/usr/bin/env python3
"""Trains on two and three "hosts": network namespaces of this machine, joined by a shaped link.

Usage: hosts_run.py PROGRAM [--rate RATE]

Needs root. Not part of the suite. Each host sends RATE at most (tc tbf). Trains there, and compares
with a training alone; then kills all that runs on a host, and unplugs another: the job must end within
30 seconds, with a whole checkpoint.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import ranks

SWITCH = "combiner-switch"
LONGEST = 30  # seconds
# What finds a host that has gone without a word, in 20 seconds instead of 8 minutes.
KEEPALIVE = {"oob_tcp_keepalive_time": 5, "oob_tcp_keepalive_intvl": 5, "oob_tcp_keepalive_probes": 3}
# Starts a command on a host, as ssh would: its arguments are the address and the command.
AGENT = """#!/bin/sh
host=combiner-${1##*.}
shift
exec ip netns exec $host unshare --uts sh -c "hostname $host && exec $*"
"""


def system(command, check=True):
    return subprocess.run(command, shell=True, check=check, capture_output=True, text=True).stdout


@contextlib.contextmanager
def hosts(count, rate):
    """Yields the addresses of hosts combiner-1, combiner-2, ..."""
    system(f"ip netns add {SWITCH} && ip -n {SWITCH} link add name switch type bridge"
           f" && ip -n {SWITCH} link set switch up")  # fmt: skip
    try:
        for i in range(1, count + 1):
            host = f"combiner-{i}"
            system(f"""set -e
                ip netns add {host}
                ip -n {host} link set lo up
                ip -n {SWITCH} link add name port{i} type veth peer name wire netns {host}
                ip -n {SWITCH} link set port{i} master switch up
                ip -n {host} addr add 10.77.0.{i}/24 dev wire
                ip -n {host} link set wire up
                tc -n {host} qdisc add dev wire root tbf rate {rate} burst 256kb latency 50ms""")
        yield [f"10.77.0.{i}" for i in range(1, count + 1)]
    finally:
        for name in [SWITCH, *(f"combiner-{i}" for i in range(1, count + 1))]:
            system(f"ip netns pids {name} | xargs -r kill -9; ip netns del {name}", check=False)


def start(addresses, agent, command):
    words = [*ranks.mpirun(len(addresses)), "--host", ",".join(addresses), "--bind-to", "none",
             "--mca", "plm_rsh_agent", agent, "--mca", "btl", "tcp,self",
             "--mca", "btl_tcp_if_include", "wire", "--mca", "oob_tcp_if_include", "wire"]  # fmt: skip
    for name, value in KEEPALIVE.items():
        words += ["--mca", name, str(value)]
    first = ["ip", "netns", "exec", "combiner-1", "unshare", "--uts", "sh", "-c",
             'hostname combiner-1 && exec "$@"', "sh"]  # fmt: skip
    return subprocess.Popen([*first, *words, *map(str, command)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def ended(job, begin, what, output):
    said = job.communicate(timeout=4 * LONGEST)[1]
    seconds = time.monotonic() - begin
    step, _ = ranks.checkpoint(output)
    last = [line for line in said.splitlines() if line.strip(" -")]
    print(f"{what}: ended after {seconds:.1f} s with exit code {job.returncode}; the checkpoint is of"
          f" step {step}; said: {' / '.join(last)[:600]}")  # fmt: skip
    assert seconds <= LONGEST and job.returncode != 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rate", default="1gbit")
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    ranks.skip_without_mpi(program)
    with tempfile.TemporaryDirectory() as folder:
        ranks.make_data(folder, 15)
        agent = f"{folder}/agent"
        with open(agent, "w") as file:
            file.write(AGENT)
        os.chmod(agent, 0o755)
        ranks.run_well(0, ranks.training(program, folder, f"{folder}/alone", "--steps", 50))
        alone = ranks.losses(f"{folder}/alone")
        for count in (2, 3):
            output = f"{folder}/of{count}"
            endless = ranks.training(program, folder, output, "--steps", 10**9, "--overwrite",
                                     "--checkpoint-minutes", 0)  # fmt: skip
            with hosts(count, options.rate) as addresses:
                job = start(addresses, agent, ranks.training(program, folder, output, "--steps", 50))
                said = job.communicate(timeout=ranks.SECONDS)[1]
                assert job.returncode == 0, said
                worst = max(abs(a / b - 1) for a, b in zip(ranks.losses(output), alone))
                print(f"{count} hosts, {options.rate}: losses differ by {worst:.2g} at most from one")
                assert worst <= 1e-5

                for what in ("killed", "unplugged"):
                    job = start(addresses, agent, endless)
                    time.sleep(5)
                    assert job.poll() is None, job.stderr.read()
                    begin = time.monotonic()
                    if what == "killed":
                        for pid in system(f"ip netns pids combiner-{count}").split():
                            os.kill(int(pid), signal.SIGKILL)
                    else:
                        system(f"ip -n {SWITCH} link set port{count} down")
                    ended(job, begin, f"{count} hosts, one {what}", output)


if __name__ == "__main__":
    sys.exit(main())
