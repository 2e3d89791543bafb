"""Plants a violation of each rule in a small tree and expects the rule, and only it, to be named."""

import tempfile
import unittest
from pathlib import Path

import format as formatting
import layering
import size
import sources
import words

CLEAN = {
    ".clang-format": "BasedOnStyle: Google\nIncludeBlocks: Preserve\n",
    "common/base/CMakeLists.txt": "entente_library(base LINKS fmt::fmt)\n",
    "common/base/ids.h": "#pragma once\n#include <string>\n",
    "common/domain/CMakeLists.txt": "entente_library(domain LINKS entente_base)\n",
    "common/domain/job.h": '#pragma once\n#include "common/base/ids.h"\n',
    "common/runtime/CMakeLists.txt": "entente_library(runtime LINKS entente_base spdlog::spdlog)\n",
    "common/runtime/log.h": "#pragma once\n#include <spdlog/logger.h>\n",
    "broker/core/CMakeLists.txt": "entente_library(broker_core LINKS entente_domain)\n",
    "broker/core/step.h": '#pragma once\n#include "common/base/ids.h"\n#include "common/domain/job.h"\n',
    "broker/service/CMakeLists.txt":
        "entente_library(broker_service LINKS entente_broker_core entente_runtime)\n",
    "broker/service/loop.h":
        '#pragma once\n#include <thread>\n#include "broker/core/step.h"\n#include "common/runtime/log.h"\n',
    "broker/CMakeLists.txt":
        "entente_program(entente-broker SOURCE main.cpp LINKS entente_broker_service)\n",
    "broker/main.cpp": '#include "broker/service/loop.h"\n',
    "site-agent/core/CMakeLists.txt": "entente_library(agent_core LINKS entente_domain)\n",
    "site-agent/core/agent.h": "#pragma once\n",
    "coordinator/CMakeLists.txt": "entente_library(cli LINKS entente_domain)\n",
    "coordinator/cli.h": "#pragma once\n",
}


class Lint(unittest.TestCase):
    def found(self, rule, changes):
        """What `rule` says of the clean tree with `changes` (path -> text) made to it."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in {**CLEAN, **changes}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            return rule.violations(root)

    def expect(self, rule, path, text, reason):
        lines = self.found(rule, {path: text})
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(path + ":"), lines)
        self.assertIn(reason, lines[0])

    def test_a_clean_tree_has_no_violations(self):
        for rule in (layering, size, words):
            self.assertEqual(self.found(rule, {}), [], rule.__name__)

    def test_broker_and_site_agent_never_include_each_other(self):
        self.expect(layering, "broker/service/bad.h", '#include "site-agent/core/agent.h"\n',
                    "broker/ may not include site-agent/")
        self.expect(layering, "site-agent/core/bad.h", '#include "broker/core/step.h"\n',
                    "site-agent/ may not include broker/")

    def test_coordinator_and_common_include_neither(self):
        self.expect(layering, "coordinator/bad.h", '#include "broker/core/step.h"\n',
                    "coordinator/ may not include broker/")
        self.expect(layering, "common/runtime/bad.h", '#include "broker/core/step.h"\n',
                    "common/ may not include broker/")

    def test_a_folder_includes_only_what_it_links(self):
        self.expect(layering, "common/runtime/bad.h", '#include "common/domain/job.h"\n',
                    "does not link entente_domain")
        self.expect(layering, "common/base/bad.h", '#include "common/domain/job.h"\n',
                    "does not link entente_domain")

    def test_a_later_link_counts(self):
        linked = CLEAN["common/runtime/CMakeLists.txt"] + \
            "target_link_libraries(entente_runtime PRIVATE entente_domain)\n"
        self.assertEqual(self.found(layering, {
            "common/runtime/CMakeLists.txt": linked,
            "common/runtime/more.h": '#include "common/domain/job.h"\n'}), [])

    def test_a_main_file_includes_only_what_its_program_links(self):
        self.expect(layering, "site-agent/agent_main.cpp", '#include "common/runtime/log.h"\n',
                    "does not link entente_runtime")

    def test_pure_code_includes_only_values(self):
        for header in ("thread", "mutex", "filesystem", "fstream", "unistd.h", "sys/stat.h",
                       "random", "nlohmann/json.hpp"):
            self.expect(layering, "broker/core/bad.cpp", f"#include <{header}>\n",
                        "pure code may include")

    def test_pure_code_includes_only_pure_code(self):
        linked = "entente_library(broker_core LINKS entente_domain entente_runtime)\n"
        lines = self.found(layering, {"broker/core/CMakeLists.txt": linked,
                                      "broker/core/bad.h": '#include "common/runtime/log.h"\n'})
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("is not pure", lines[0])

    def test_pure_code_reads_no_clock(self):
        self.expect(layering, "common/domain/bad.cpp",
                    "auto t = std::chrono::steady_clock::now();\n", "does not call")
        self.expect(layering, "site-agent/core/bad.cpp", "auto t = time(nullptr);\n",
                    "does not call")

    def test_a_library_stays_with_its_wrapper(self):
        for header, library in (("torch/torch.h", "LibTorch"), ("capnp/message.h", "Cap'n Proto"),
                                ("openssl/ssl.h", "OpenSSL"), ("sqlite3.h", "SQLite"),
                                ("SQLiteCpp/SQLiteCpp.h", "SQLite"), ("toml++/toml.h", "toml++"),
                                ("asio/io_context.hpp", "Asio"), ("spdlog/spdlog.h", "spdlog")):
            self.expect(layering, "broker/service/bad.cpp", f"#include <{header}>\n",
                        f"{library} ({header}) belongs in")
        self.expect(layering, "common/runtime/bad.cpp", "#include <zmq.hpp>\n", "ZeroMQ")

    def test_includes_go_by_the_path_from_the_root(self):
        self.expect(layering, "common/domain/bad.h", '#include "job.h"\n', "path from its root")

    def test_comments_and_literals_are_not_code(self):
        self.assertEqual(self.found(layering, {
            "broker/core/fine.cpp": '// #include <thread>\n/*\n#include <mutex>\n*/\n'
                                    'const char* url = "http://x";  // clock::now()\n'}), [])

    def test_a_long_file_is_named(self):
        self.expect(size, "broker/core/long.cpp", "\n" * (size.LINES_MAX + 1), "split it")
        self.assertEqual(self.found(size, {"broker/core/long.cpp": "\n" * size.LINES_MAX}), [])

    def test_unfinished_work_is_named(self):
        for word in ("TO" + "DO", "FIX" + "ME", "HA" + "CK", "X" * 3):
            self.expect(words, "broker/core/bad.cpp", f"// {word}: later\n", word)
        self.assertEqual(self.found(words, {"tests/fine.cpp": "mkdtemp(name-XXXXXX)\n"}), [])

    def test_unformatted_code_is_named(self):
        if formatting.formatter() is None:
            self.skipTest("clang-format is not installed")
        self.assertEqual(self.found(formatting, {}), [])
        self.expect(formatting, "broker/core/bad.cpp", "int  x ;\n", "not formatted")


if __name__ == "__main__":
    unittest.main()
