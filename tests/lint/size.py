"""One concept per file: a source file of more than 600 lines wants to be two."""

import sources

LINES_MAX = 600


def violations(root):
    found = []
    for path in sources.files(root, sources.ALL):
        lines = sources.read(root, path).count("\n")
        if lines > LINES_MAX:
            found.append(f"{path}:1: {lines} lines, at most {LINES_MAX}; split it by concept")
    return found


if __name__ == "__main__":
    sources.main(violations)
