#!/bin/sh
# Usage: man_pages_test.sh PROGRAM FOLDER. The folder has a page for the program and for each of its
# subcommands, with every option that --help lists, and groff finds no fault with them.
set -eu
program=$1
cd "$2"
if ! command -v groff >/dev/null; then
  echo "skipped: groff is not installed"
  exit
fi

# Usage: check PAGE [SUBCOMMAND]
check() {
  page=$1
  shift
  warnings=$(groff -man -ww -z "$page" 2>&1)
  if [ -n "$warnings" ]; then
    echo "$warnings" >&2
    exit 1
  fi
  text=$(groff -man -Tascii -P-cbou "$page")
  options=$("$program" "$@" --help | grep -o '^  -[^ {]*') ||
    { echo "$page: --help lists no options" >&2; exit 1; }
  for option in $(echo "$options" | tr ',' ' '); do
    case $text in
      *" $option"*) ;;
      *) echo "$page lacks $option" >&2; exit 1 ;;
    esac
  done
}
check combiner.1
subcommands=$("$program" --help | sed '1,/^Subcommands:/d' | grep -o '^  [a-z][^ ]*') ||
  { echo "--help lists no subcommands" >&2; exit 1; }
for subcommand in $subcommands; do
  check "combiner-$subcommand.1" "$subcommand"
done
