"""What the programs that measure share: a fresh consortium, and a table in a page of the docs."""

import argparse
import pathlib
import shutil
import signal
import sys

from demo import Demo

END = "<!-- end of the table -->\n"


def rewrite(page, command, text):
    """The page with another table between the marks of `./run COMMAND`."""
    begin = f"<!-- begin of the table that ./run {command} writes -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}{text}{END}{after}"


def main(command, page, start, measure):
    """Calls `start`, then `measure`, with a demo in a folder of its own; `measure` gives the table."""
    parser = argparse.ArgumentParser(prog=f"./run {command}")
    parser.add_argument("--programs", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit(1))

    folder = pathlib.Path("demo").resolve() / command
    demo = Demo(arguments.programs.resolve(), folder)
    demo.down()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        start(demo)
        text = measure(demo)
    finally:
        demo.down()
    page.write_text(rewrite(page.read_text(), command, text))
    print(f"\nThe table: {page}")
