"""Compares what a page shows with what a command prints.

The texts must be equal, but for what differs between machines and runs:
- rates, such as 23.1 images/s, and times in s or min
- the number of threads
- the names of the processor and of its instructions, and which of f32 and bf16 is the faster one
- the seed of a command that is given none
Numbers with a decimal point, such as bits/dim, may differ by TOLERANCE, because processors round
differently. Numbers without one must be equal. Several spaces count as one. A line `...` on the
page stands for any number of lines.
"""

import re

TOLERANCE = 0.005

NUMBER = r"\d[\d.]*(?:e[+-]?\d+)?"
UNLIKE = [
    (rf"\b{NUMBER} (images/s|steps/s|GFLOP/s|GOP/s|GB/s)", r"<rate> \1"),
    (rf"^(images/s +){NUMBER}", r"\1<rate>"),
    (rf'("images_per_second": ){NUMBER}', r"\1<rate>"),
    (rf"\b{NUMBER} (s|min)\b", r"<time> \1"),
    (r"\b\d+ threads?\b", "<threads>"),
    (r'("threads": )\d+', r"\1<threads>"),
    (r"\((?:f32|bf16), <threads>; [^)]*\)", "(<precision>, <threads>; <instructions>)"),
    (r"\((f32|bf16|int8); [^)]*\)", r"(\1; <instructions>)"),
    (r"^(kernels|machine|uses|processor:|in use:) +.*", r"\1 <processor>"),
    (r'("(?:kernels|instructions)": )".*"', r"\1<instructions>"),
]
SEED = (r"(\bseed:? +|\"seed\": )\d+", r"\1<seed>")
DECIMAL = re.compile(r"\d+\.\d+")


def without_what_differs(line, command):
    has_seed = "--seed" in command or "--like" in command or "combiner info" in command
    for pattern, replacement in UNLIKE if has_seed else [*UNLIKE, SEED]:
        line = re.sub(pattern, replacement, line)
    return re.sub(r"(?<=\S) +", " ", line).rstrip()


def same_line(shown, printed, command=""):
    shown, printed = (without_what_differs(line, command) for line in (shown, printed))
    if DECIMAL.sub("<decimal>", shown) != DECIMAL.sub("<decimal>", printed):
        return False
    pairs = zip(DECIMAL.findall(shown), DECIMAL.findall(printed))
    return all(abs(float(a) - float(b)) <= TOLERANCE + 1e-9 for a, b in pairs)


def same(shown, printed, command=""):
    """Whether the lines `shown` describe the lines `printed` by `command`."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(same(shown[1:], printed[i:], command) for i in range(len(printed) + 1))
    return (bool(printed) and same_line(shown[0], printed[0], command)
            and same(shown[1:], printed[1:], command))  # fmt: skip
