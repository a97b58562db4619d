"""What tools check before they write a file."""

import os


def refuse_inputs(parser, output, inputs):
    """Ends the program with a usage error if the output is one of the inputs, maybe through links.

    Tools call this before they read anything.
    """
    for path in inputs:
        try:
            same = os.path.samefile(output, path)
        except OSError:  # one of them isn't there; if it is the input, reading it says so
            continue
        if same:
            parser.error(f"{output} is {path}, which is read; write elsewhere")
