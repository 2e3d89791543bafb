"""C++ looks as .clang-format says. Mend with: ./run format"""

import re
import shutil
import subprocess
import sys

import sources

# Other releases format a few things differently; this is Debian 12's.
MAJOR = 14


def formatter():
    """A clang-format of the right release, or nothing."""
    for name in (f"clang-format-{MAJOR}", "clang-format"):
        path = shutil.which(name)
        if path:
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
            if re.search(rf"version {MAJOR}\.", version.stdout):
                return path
    return None


def violations(root):
    paths = [str(path) for path in sources.files(root, sources.CPP)]
    result = subprocess.run([formatter(), "--dry-run", "--Werror", "--style=file", *paths],
                            cwd=root, capture_output=True, text=True)
    first_line = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: error:", result.stderr, re.M):
        first_line.setdefault(path, line)
    if result.returncode != 0 and not first_line:
        return [f".clang-format:1: clang-format failed: {result.stderr.strip()}"]
    return [f"{path}:{line}: not formatted; mend it with: ./run format"
            for path, line in first_line.items()]


if __name__ == "__main__":
    if formatter() is None:
        print(f"skipped: clang-format {MAJOR} is not installed (apt install clang-format-{MAJOR})")
        sys.exit(sources.SKIPPED)
    sources.main(violations)
