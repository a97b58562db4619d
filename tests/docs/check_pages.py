#!/usr/bin/env python3
"""Checks what concerns all pages: links lead somewhere, README is short, and nothing is missing.

Usage: check_pages.py PROGRAM
"""

import glob
import os
import re
import subprocess
import sys

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
MOST_LINES = 200  # of README.md
MOST_COLUMNS = 105  # but for tables, links and what programs print


def pages():
    return ["README.md", *sorted(
        os.path.relpath(path, PROJECT)
        for folder in ("docs", "models", "samples")
        for path in glob.glob(os.path.join(PROJECT, folder, "*.md")))]  # fmt: skip


def text_of(page):
    with open(os.path.join(PROJECT, page)) as file:
        return file.read()


def without_blocks(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)", without_blocks(text_of(page)), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def broken_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text_of(page))):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
        if not os.path.exists(os.path.join(PROJECT, path)):
            yield f"{page}: {target} does not exist"
        elif anchor and anchor not in anchors(path):
            yield f"{page}: {target}: {path} has no such heading"


def long_lines(page):
    for number, line in enumerate(without_blocks(text_of(page)).splitlines(), 1):
        if len(line) > MOST_COLUMNS and not line.startswith("|") and "](" not in line:
            yield f"{page}: a line has {len(line)} columns, more than {MOST_COLUMNS}: {line}"


def subcommands(program):
    said = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^  ([a-z]+) ", said[said.index("Subcommands:") :], re.MULTILINE)


def main():
    program = sys.argv[1]
    faults = [fault for page in pages() for check in (broken_links, long_lines)
              for fault in check(page)]  # fmt: skip
    readme = text_of("README.md")
    lines = len(readme.splitlines())
    if lines > MOST_LINES:
        faults.append(f"README.md has {lines} lines, more than {MOST_LINES}")
    faults += [f"README.md has no link to {page}" for page in pages()
               if page.startswith("docs/") and f"]({page})" not in readme]  # fmt: skip
    everything = "".join(text_of(page) for page in pages())
    names = subcommands(program)
    if not names:
        faults.append(f"{program} --help lists no subcommands")
    faults += [f"no page shows combiner {name}" for name in names
               if not re.search(rf"combiner {name}\s", everything)]  # fmt: skip
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(pages())} pages are right")


if __name__ == "__main__":
    main()
