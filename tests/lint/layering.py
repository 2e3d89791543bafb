"""Who may include whom: the rules of ARCHITECTURE.md, held against every #include.

 - A folder includes a folder of the project only when its CMakeLists.txt links it, directly or
   through what it links.
 - broker/ and site-agent/ never include each other, coordinator/ includes neither, and common/
   includes none of them.
 - A pure folder includes pure folders and an allow-list of value types; it reads no clock.
 - A third-party library appears only in the folders that wrap it.
"""

import re
from pathlib import PurePosixPath

import sources

PROGRAMS = ["common", "broker", "site-agent", "coordinator", "certs"]

# What each part may include; a part always may include itself.
PARTS = {
    "common": [],
    "certs": ["common"],
    "broker": ["common"],
    "site-agent": ["common"],
    "coordinator": ["common", "certs"],
}

# Files of a pure folder, as path prefixes.
PURE = ["common/base/", "common/domain/", "broker/core/", "broker/merge/strategies/",
        "site-agent/core/", "site-agent/policy/"]
PURE_HEADERS = {
    "algorithm", "array", "bit", "cctype", "charconv", "chrono", "climits", "cmath", "compare",
    "concepts", "cstddef", "cstdint", "cstring", "deque", "functional", "initializer_list",
    "iterator", "limits", "list", "map", "memory", "numbers", "numeric", "optional", "queue",
    "ranges", "set", "span", "stdexcept", "string", "string_view", "tuple", "type_traits",
    "unordered_map", "unordered_set", "utility", "variant", "vector",
    "tl/expected.hpp", "fmt/core.h", "fmt/format.h", "fmt/ranges.h",
}
# What a pure folder needs beside them: arithmetic only.
PURE_FOLDER_EXTRA = {
    "broker/merge/strategies/": {"hwy/foreach_target.h", "hwy/highway.h", "hwy/aligned_allocator.h"},
}
# Why a single pure file needs more.
PURE_EXTRA = {
    "common/base/check.cpp": {"cstdio", "cstdlib"},  # a failed check says so and aborts
}
IMPURE_CALLS = re.compile(r"::now\s*\(|\b(?:s?rand|getenv|time|clock|usleep|sleep)\s*\(\s*(?:\)|nullptr)")

# Library: (its headers, the path prefixes that may include them).
WRAPPED = {
    "LibTorch": (r"(torch|ATen|c10)/", ["site-agent/training/"]),
    "Cap'n Proto": (r"(capnp|kj|schemas)/", ["common/wire/"]),
    "OpenSSL": (r"openssl/", ["common/crypto/", "common/net/", "certs/"]),
    "SQLite": (r"(sqlite3\.h|SQLiteCpp/)",
               ["common/storage/", "broker/store/", "broker/expressions/", "site-agent/journal/",
                "site-agent/data/"]),
    "toml++": (r"toml\+\+/|toml\.hpp", ["common/config/"]),
    "ZeroMQ": (r"zmq", ["common/net/", "common/blob/", "broker/data_plane/", "broker/service/",
                        "site-agent/service/", "coordinator/"]),
    "Asio": (r"asio", ["common/net/"]),
    "spdlog": (r"spdlog/", ["common/runtime/"]),
    "Highway": (r"hwy/", ["broker/merge/", "common/tensors/"]),
    "zlib": (r"zlib\.h", ["site-agent/data/"]),
    "libpng": (r"png", ["site-agent/data/"]),
    "libjpeg-turbo": (r"(turbo)?j(peg|pp)", ["site-agent/data/"]),
    "libzip": (r"zip\.h", ["site-agent/data/"]),
    "libpq": (r"(libpq-fe|postgres)", ["site-agent/data/"]),
    "CLI11": (r"CLI/", ["coordinator/", "broker/main.cpp", "site-agent/agent_main.cpp",
                        "site-agent/trainer_main.cpp", "common/config/command_line"]),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
DEFINITION = re.compile(r"entente_(library|program)\(\s*([\w-]+)([^)]*)\)")
LATER_LINKS = re.compile(r"target_link_libraries\(\s*entente_(\w+)([^)]*)\)")
TARGET = re.compile(r"\bentente_\w+")


class Links:
    """What the CMake files link: target -> targets, folder -> target, main file -> targets."""

    def __init__(self, root):
        self.of_target = {}
        self.target_of_folder = {}
        self.of_main = {}
        for program in PROGRAMS:
            for listing in (root / program).rglob("CMakeLists.txt"):
                self._read(listing.parent.relative_to(root).as_posix(), listing.read_text())

    def _read(self, folder, text):
        text = re.sub(r"#[^\n]*", "", text)
        for kind, name, rest in DEFINITION.findall(text):
            linked = set(TARGET.findall(rest.partition("LINKS")[2]))
            if kind == "library":
                self.of_target.setdefault(f"entente_{name}", set()).update(linked)
                self.target_of_folder[folder] = f"entente_{name}"
            else:
                main = re.search(r"SOURCE\s+(\S+)", rest)
                self.of_main[f"{folder}/{main.group(1)}"] = linked
        for name, rest in LATER_LINKS.findall(text):
            self.of_target.setdefault(f"entente_{name}", set()).update(TARGET.findall(rest))

    def reachable_from(self, path):
        """The targets that the file `path` may include from."""
        own = self.target_of_folder.get(PurePosixPath(path).parent.as_posix())
        waiting = list(self.of_main.get(path, {own} if own else set()))
        reached = set()
        while waiting:
            target = waiting.pop()
            if target not in reached:
                reached.add(target)
                waiting.extend(self.of_target.get(target, ()))
        return reached


def is_pure(path):
    return path.startswith(tuple(PURE))


def check_project_include(root, links, path, header):
    part, other = path.split("/")[0], header.split("/")[0]
    if not (root / header).is_file():
        return f'"{header}" is not a file of the project; include by the path from its root'
    if other != part and other not in PARTS[part]:
        return f"{part}/ may not include {other}/ ({header})"
    folder = PurePosixPath(header).parent.as_posix()
    if folder == PurePosixPath(path).parent.as_posix():
        return None
    if is_pure(path) and not is_pure(header):
        return f"pure code may not include {header}, which is not pure"
    target = links.target_of_folder.get(folder)
    if target not in links.reachable_from(path):
        return f"includes {header}, but its CMakeLists.txt does not link {target or folder}"
    return None


def check_foreign_include(path, header):
    for library, (pattern, allowed) in WRAPPED.items():
        if re.match(pattern, header) and not path.startswith(tuple(allowed)):
            return f"{library} ({header}) belongs in {', '.join(allowed)} only"
    allowed = PURE_HEADERS | PURE_EXTRA.get(path, set()).union(
        *(extra for folder, extra in PURE_FOLDER_EXTRA.items() if path.startswith(folder)))
    if is_pure(path) and header not in allowed:
        return f"<{header}> is not on the list of what pure code may include"
    return None


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def violations(root):
    links = Links(root)
    found = []
    for relative in sources.files(root, sources.CPP):
        path = relative.as_posix()
        if path.split("/")[0] not in PROGRAMS:
            continue
        text = sources.without_comments(sources.read(root, relative))
        for include in INCLUDE.finditer(text):
            bracket, header = include.groups()
            fault = (check_project_include(root, links, path, header) if bracket == '"'
                     else check_foreign_include(path, header))
            if fault:
                found.append(f"{path}:{line_of(text, include.start())}: {fault}")
        if is_pure(path):
            for call in IMPURE_CALLS.finditer(text):
                found.append(f"{path}:{line_of(text, call.start())}: pure code gets time and "
                             f"chance passed in, it does not call {call.group().strip()}")
    return found


if __name__ == "__main__":
    sources.main(violations)
