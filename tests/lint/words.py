"""Work is either done or in the issue list, not in a comment."""

import re

import sources

# Written so that this file does not hold the words itself.
WORDS = re.compile(r"\b(T[O]DO|FIX[M]E|HAC[K]|X[X]X)\b")


def violations(root):
    found = []
    for path in sources.files(root, sources.ALL):
        for number, line in enumerate(sources.read(root, path).splitlines(), 1):
            for word in WORDS.findall(line):
                found.append(f"{path}:{number}: {word}: finish it or leave it out")
    return found


if __name__ == "__main__":
    sources.main(violations)
