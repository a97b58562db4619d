"""Trains on 1, 2 and 3 ranks: the same steps, whatever the number.

Usage: train_test.py PROGRAM
"""

import os
import sys
import tempfile

import ranks

PROGRAM = sys.argv[1]
STEPS = 50


def close(some, others):
    assert len(some) == len(others), (len(some), len(others))
    worst = max(abs(a / b - 1) for a, b in zip(some, others))
    assert worst <= 1e-5, f"losses differ by {worst:.2g}"
    return worst


ranks.skip_without_mpi(PROGRAM)
with tempfile.TemporaryDirectory() as folder:
    ranks.make_data(folder, 15)

    def train(count, name, steps, *more):
        ranks.run_well(count, ranks.training(PROGRAM, folder, f"{folder}/{name}", "--steps", steps,
                                             "--checkpoint-minutes", 0, *more))  # fmt: skip
        return ranks.losses(f"{folder}/{name}")

    alone = train(0, "alone", STEPS)
    for count in (1, 2, 3):
        worst = close(train(count, f"of{count}", STEPS), alone)
        print(f"{count} ranks: losses of {STEPS} steps differ by {worst:.2g} at most")
    # Bit for bit the same once more.
    for count in (2, 3):
        train(count, "again", STEPS, "--overwrite")
        for part in (ranks.log_rows, ranks.checkpoint):
            same = part(f"{folder}/of{count}") == part(f"{folder}/again")
            assert same, f"two runs on {count} ranks differ"
    # Not from different checkpoints, which ranks on machines of their own may have.
    train(1, "later", STEPS // 2, "--seed", 1)
    resume = ranks.training(PROGRAM, folder, f"{folder}/mixed", "--steps", STEPS, "--resume")
    mixed = ["sh", "-c", 'if [ $OMPI_COMM_WORLD_RANK = 1 ]; then c=later; else c=of2; fi\n'
             'exec "$@" "$0/$c.checkpoint"', folder, *map(str, resume)]  # fmt: skip
    refused = ranks.run(2, mixed)
    assert refused.returncode == 1 and "the state to begin with" in refused.stderr, refused
    assert not os.path.exists(f"{folder}/mixed.checkpoint")
    print(refused.stderr.strip())
    # A checkpoint goes on with another number of ranks, with the same images in the same order.
    first = train(2, "resumed", STEPS // 2)
    both = train(3, "resumed", STEPS, "--resume", f"{folder}/resumed.checkpoint")
    assert both[: len(first)] == first
    print(f"2 ranks, then 3: losses differ by {close(both, alone):.2g} at most")
