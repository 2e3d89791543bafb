"""The project's own source files, and what all lint scripts share.

A lint script has a function `violations(root)` that returns one line of text per broken rule,
"path:line: what is wrong", and hands it to `main`.
"""

import re
import sys
from pathlib import Path

FOLDERS = ["common", "broker", "site-agent", "coordinator", "certs", "schemas", "tests", "cmake"]
CPP = {".h", ".cpp"}
ALL = CPP | {".py", ".cmake", ".txt", ".capnp"}
SKIPPED = 77  # CTest shows a test that exits with this as skipped


def files(root, suffixes):
    """Sorted paths below the source folders, relative to `root`."""
    found = []
    for folder in FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.suffix in suffixes and path.is_file():
                found.append(path.relative_to(root))
    return sorted(found)


def read(root, path):
    return (root / path).read_text(encoding="utf-8", errors="replace")


def without_comments(text):
    """C++ with its comments blanked and its literals kept; the line numbers stay as they are."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^()\\\s]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
        r"|(?<!\w)'(?:\\.|[^'\\\n])+'", re.S)

    def blank(match):
        kept = match.group()
        return re.sub(r"[^\n]", " ", kept) if kept.startswith(("//", "/*")) else kept

    return token.sub(blank, text)


def main(violations):
    root = Path(sys.argv[1]).resolve()
    if not files(root, CPP):
        sys.exit(f"error: there are no sources below {root}")
    found = violations(root)
    for line in found:
        print(line)
    sys.exit(1 if found else 0)
