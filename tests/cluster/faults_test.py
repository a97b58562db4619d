"""Ends ranks in every way: the others must end too, with one message, and nothing be lost.

Usage: faults_test.py PROGRAM
"""

import atexit
import glob
import os
import signal
import subprocess
import sys
import tempfile
import time

import ranks

PROGRAM = sys.argv[1]
LONGEST = 300  # seconds in which a job must end


class Job:
    """A training without end on `count` ranks, which has made some steps."""

    def __init__(self, data, output, count, *more):
        self.output = output
        for path in glob.glob(f"{output}.*"):
            os.remove(path)
        more = more or ("--checkpoint-minutes", 0)
        command = ranks.training(PROGRAM, data, output, "--steps", 10**9, *more)
        words = [*ranks.mpirun(count, "--mca", "odls_base_sigkill_timeout", "2"),
                 *map(str, command)]  # fmt: skip
        self.mpirun = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       text=True)  # fmt: skip
        atexit.register(self.mpirun.kill)  # if a check fails, it would go on for ever
        while not os.path.exists(f"{output}.csv") or len(ranks.losses(output)) < 3:
            assert self.mpirun.poll() is None, self.mpirun.stderr.read()
            time.sleep(0.02)

    def processes(self, name):
        """Process ids by rank: of 'combiner', which computes, or of 'combiner-watch'."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm") as file:
                    if file.read().strip() != name:
                        continue
                with open(f"/proc/{pid}/environ") as file:
                    variables = dict(v.split("=", 1) for v in file.read().split("\0") if "=" in v)
                with open(f"/proc/{pid}/cmdline") as file:
                    if f"{self.output}.safetensors" in file.read():
                        found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(pid)
            except (OSError, KeyError):
                pass  # it has ended, or is not ours
        return found

    def end(self, pid, signal_number):
        """Returns what is said, the exit code, the last step in the log, and that saved."""
        start = time.monotonic()
        os.kill(pid, signal_number)
        said = self.mpirun.communicate(timeout=LONGEST)[1]
        self.seconds = time.monotonic() - start
        for name in ("combiner", "combiner-watch"):
            deadline = time.monotonic() + 60
            while self.processes(name) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not self.processes(name), "a process is left"
        step, _ = ranks.checkpoint(self.output)
        return said, self.mpirun.returncode, len(ranks.losses(self.output)), step


def said_by_combiner(said):
    # Open MPI 5 ends its own words with a null character.
    return [line for line in said.replace("\0", "").splitlines() if line.startswith("combiner: ")]


ranks.skip_without_mpi(PROGRAM)
with tempfile.TemporaryDirectory() as folder:
    ranks.make_data(folder, 15)
    output = f"{folder}/a"

    # Killed: as by the system when memory runs out.
    job = Job(folder, output, 3)
    said, code, made, saved = job.end(job.processes("combiner")[1], signal.SIGKILL)
    messages = said_by_combiner(said)
    assert code == 1, (code, said)
    assert len(messages) == 1 and "rank 1 on " in messages[0] and "signal 9" in messages[0], said
    assert saved >= made - 1 > 0, (saved, made)
    print(f"kill -9 of one rank: {job.seconds:.1f} s, {messages[0]}")

    # The process that waits for it, too: mpirun then speaks itself.
    job = Job(folder, output, 2)
    said, code, made, saved = job.end(job.processes("combiner-watch")[1], signal.SIGKILL)
    assert code != 0 and saved >= made - 1 > 0, (code, saved, made, said)
    print(f"kill -9 of the process that mpirun started: {job.seconds:.1f} s, exit code {code}")

    # Asked to end, one rank or all: the step that is made is saved.
    for name, whom, number in (
        ("SIGTERM to one rank", lambda job: job.processes("combiner-watch")[1], signal.SIGTERM),
        ("SIGTERM to a rank's child", lambda job: job.processes("combiner")[1], signal.SIGTERM),
        ("SIGUSR1 to mpirun", lambda job: job.mpirun.pid, signal.SIGUSR1),
        ("Ctrl-C to mpirun", lambda job: job.mpirun.pid, signal.SIGINT),
    ):
        job = Job(folder, output, 2)
        said, code, made, saved = job.end(whom(job), number)
        assert saved == made > 0, (name, saved, made, said)
        messages = said_by_combiner(said)
        # After Ctrl-C, Open MPI 5 passes on nothing that ranks say.
        assert len(messages) == 1 or (number == signal.SIGINT and not messages), (name, said)
        assert all(f"interrupted at step {saved}" in message for message in messages), (name, said)
        assert code != 0, (name, code)
        print(f"{name}: {job.seconds:.1f} s, exit code {code}, all of {saved} steps are saved")

    # Drawing stops on all ranks, and says what is missing.
    words = [*ranks.mpirun(2), PROGRAM, "sample", "--model", f"{output}.safetensors", "-n", "100000",
             "--threads", "1", "-o", f"{folder}/drawn/"]  # fmt: skip
    job.mpirun = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    atexit.register(job.mpirun.kill)
    while not os.path.exists(f"{folder}/drawn") or len(os.listdir(f"{folder}/drawn")) < 100:
        assert job.mpirun.poll() is None, job.mpirun.stderr.read()
        time.sleep(0.02)
    os.kill(job.processes("combiner")[1], signal.SIGTERM)
    said = job.mpirun.communicate(timeout=LONGEST)[1]
    count = len(os.listdir(f"{folder}/drawn"))
    assert job.mpirun.returncode == 130 and count < 100000, (job.mpirun.returncode, count)
    assert f"interrupted: {count} of 100000 images are in" in said, (count, said)

    # Errors of one rank, and of all.
    def complaint(command, code=1):
        result = ranks.run(2, command)
        messages = said_by_combiner(result.stderr)
        assert result.returncode == code and len(messages) == 1, result
        return messages[0]

    by_rank = ["sh", "-c", 'if [ $OMPI_COMM_WORLD_RANK = 1 ]; then d=/nowhere; else d=$2; fi\n'
               'exec "$1" eval --data $d --model "$3" --threads 1', "sh", PROGRAM,
               f"{folder}/pictures", f"{output}.safetensors"]  # fmt: skip
    message = complaint(by_rank)
    assert "rank 1 on " in message and "/nowhere" in message, message
    print(message)
    train = ranks.training(PROGRAM, folder, f"{folder}/b", "--steps", 2)
    message = complaint([7 if word == 6 else word for word in train])  # --batch
    assert "7 images" in message and "multiple of 2" in message, message
    message = complaint([PROGRAM, "info", "--model", "/nowhere"])
    assert "without MPI" in message, message
    message = complaint([PROGRAM, "train"], code=2)

    # An image that can't be read any more, on one rank: what is done is saved.
    job = Job(folder, output, 2)
    for name in os.listdir(f"{folder}/pictures"):
        os.remove(f"{folder}/pictures/{name}")
    said = job.mpirun.communicate(timeout=LONGEST)[1]
    assert job.mpirun.returncode == 1, said
    assert len(said_by_combiner(said)) == 1 and "rank " in said, said
    assert ranks.checkpoint(output)[0] == len(ranks.losses(output)) > 0
    print(said_by_combiner(said)[0])

    # The same of an image to validate on: rank 0, which saves, is not the one that misses it.
    divided = f"{folder}/divided"
    ranks.make_data(divided, 15)
    for i in range(15):
        part = f"{divided}/pictures/{'train' if i < 12 else 'valid'}"
        os.makedirs(part, exist_ok=True)
        os.rename(f"{divided}/pictures/{i:02}.ppm", f"{part}/{i:02}.ppm")
    job = Job(divided, output, 2, "--validation-minutes", 0)
    os.remove(f"{divided}/pictures/valid/13.ppm")
    said = job.mpirun.communicate(timeout=LONGEST)[1]
    assert job.mpirun.returncode == 1, said
    messages = said_by_combiner(said)
    assert len(messages) == 1 and "rank 1 on " in messages[0] and "13.ppm" in messages[0], said
    assert ranks.checkpoint(output)[0] == len(ranks.losses(output)) > 0
    print(messages[0])
