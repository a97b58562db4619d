"""Runs a program whose standard error is a terminal."""

import os
import pty
import subprocess
import sys


def at_terminal(words, environment):
    """What the program shows on the terminal. Ends the test if the program fails."""
    main, terminal = pty.openpty()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=terminal,
                          env=environment) as program:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(main, 4096):
                shown += part
        except OSError:
            pass  # the program has closed the terminal
    os.close(main)
    if program.returncode != 0:
        sys.exit(f"exit code {program.returncode}: {shown!r}")
    return shown.decode()
