#include "coordinator/audit_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/base/prose.h"
#include "common/crypto/audit_trail.h"
#include "common/runtime/system_clock.h"
#include "coordinator/ask.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

struct AuditArguments {
  std::string job;
  std::uint32_t last = 50;
  bool all = false;
  std::string from;
};

void print_entries(const std::vector<AuditEntry>& entries) {
  if (entries.empty()) {
    fmt::print("no entries\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{{"ENTRY", "TIME", "WHO", "DID", "TO", "DETAIL"}};
  for (const auto& entry : entries) {
    const auto detail = prose(entry.detail);
    rows.push_back({std::to_string(entry.seq), format_utc(entry.unix_ms), prose(entry.actor),
                    prose(entry.action), prose(entry.object), detail.substr(0, detail.find('\n'))});
  }
  print_table(rows);
}

// Hands out the log's entries after number `seq`, one after the other, until `take` refuses one.
template <class Take>
Expected<void> read_from(BrokerClient& client, std::uint64_t seq, Take take) {
  for (;;) {
    const auto page = client.ask<std::vector<AuditEntry>>(msg::ReadAudit{seq});
    if (!page) {
      return tl::unexpected(page.error());
    }
    if (page->empty()) {
      return {};
    }
    for (const auto& entry : *page) {
      if (Expected<void> taken = take(entry); !taken) {
        return taken;
      }
    }
    seq = page->back().seq;
  }
}

ExitCode show_all(const Options& options) {
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  std::vector<AuditEntry> entries;
  const auto read = read_from(*client, 0, [&entries](const AuditEntry& entry) {
    entries.push_back(entry);
    return Expected<void>();
  });
  if (!read) {
    return print_refusal(options, read.error());
  }
  if (options.json) {
    print_json(to_json(entries));
  } else {
    print_entries(entries);
  }
  return ExitCode::done;
}

ExitCode show(const Options& options, const AuditArguments& arguments) {
  if (arguments.all) {
    return show_all(options);
  }
  msg::ShowAudit query{std::nullopt, arguments.last};
  if (!arguments.job.empty()) {
    const auto job = parse_job(arguments.job);
    if (!job) {
      return print_refusal(options, job.error());
    }
    query.job = *job;
  }
  return ask_and_print<std::vector<AuditEntry>>(options, query, print_entries);
}

std::string written(const AuditMark& mark) {
  return fmt::format("{}:{}", mark.seq, mark.hash.hex());
}

// "120:9f86d0..." as `verify` has printed it.
Expected<AuditMark> parse_mark(const std::string& text) {
  AuditMark mark;
  const auto colon = text.find(':');
  const auto hash =
      colon == std::string::npos ? std::nullopt : Digest::parse(text.substr(colon + 1));
  const auto* end = text.data() + std::min(colon, text.size());
  const auto parsed = std::from_chars(text.data(), end, mark.seq);
  if (!hash || parsed.ec != std::errc() || parsed.ptr != end || mark.seq == 0) {
    return refuse("mark_invalid", fmt::format("\"{}\" is no place in the audit log", text),
                  "write NUMBER:HASH as entente audit verify has printed it");
  }
  mark.hash = *hash;
  return mark;
}

Refusal broken(const AuditEntry& entry, const AuditMark& last) {
  return Refusal{
      "audit_broken",
      last.seq == 0
          ? fmt::format("audit entry {} is not the log's first one as it was written", entry.seq)
          : fmt::format("audit entry {} does not follow from entry {}", entry.seq, last.seq),
      "the log was changed there: keep what you have, and have the operator run entente-broker "
      "check on the data directory",
      Scope::broker};
}

Refusal rewritten(const AuditMark& mark) {
  return Refusal{
      "audit_rewritten",
      fmt::format("audit entry {} is not the one that was verified before", mark.seq),
      "the log was changed up to there since: ask the operator for a backup of that time",
      Scope::broker};
}

// Follows the log from `from` to its end; or from the first entry, holding what it finds against
// `from`.
Expected<AuditTrail> follow(BrokerClient& client, const AuditMark& from) {
  AuditTrail trail;
  auto read = read_from(client, 0, [&](const AuditEntry& entry) -> Expected<void> {
    if (!trail.follow(entry)) {
      return tl::unexpected(broken(entry, trail.last()));
    }
    if (entry.seq == from.seq && entry.hash != from.hash) {
      return tl::unexpected(rewritten(from));
    }
    return {};
  });
  if (!read) {
    return tl::unexpected(std::move(read.error()));
  }
  if (trail.last().seq < from.seq) {
    return tl::unexpected(
        Refusal{"audit_rewritten",
                fmt::format("the audit log ends at entry {}, and entry {} was verified before",
                            trail.last().seq, from.seq),
                "entries are missing: ask the operator for a backup of that time", Scope::broker});
  }
  return trail;
}

ExitCode verify(const Options& options, const AuditArguments& arguments) {
  AuditMark from;
  if (!arguments.from.empty()) {
    const auto mark = parse_mark(arguments.from);
    if (!mark) {
      return print_refusal(options, mark.error());
    }
    from = *mark;
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto trail = follow(*client, from);
  if (!trail) {
    return print_refusal(options, trail.error());
  }
  const auto& last = trail->last();
  if (options.json) {
    print_json({{"entries", last.seq}, {"mark", written(last)}});
  } else if (last.seq == 0) {
    fmt::print("the audit log has no entries yet\n");
  } else {
    fmt::print(
        "{} entries, each follows from the one before{}\n"
        "keep this, and find out later whether anything up to here was rewritten:\n"
        "  entente audit verify --from {}\n",
        with_commas(last.seq),
        from.seq == 0 ? "" : fmt::format("; entry {} is as it was", from.seq), written(last));
  }
  return ExitCode::done;
}

}  // namespace

void add_audit_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* audit = app.add_subcommand("audit", "The broker's record of who did what");
  audit->require_subcommand(1);
  const auto arguments = std::make_shared<AuditArguments>();

  auto* show_command = audit->add_subcommand("show", "Show the newest entries");
  show_command->add_option("--job", arguments->job, "what concerns this job and its models");
  auto* last = show_command->add_option("--last", arguments->last, "how many (default: 50)")
                   ->check(CLI::Range(1, 500));
  show_command
      ->add_flag("--all", arguments->all, "every entry from the first (auditors, operators)")
      ->excludes(last)
      ->excludes("--job");
  show_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return show(options, *arguments); };
  });

  auto* verify_command = audit->add_subcommand(
      "verify", "Check here that no entry was changed, removed or put in between");
  verify_command->add_option("--from", arguments->from,
                             "NUMBER:HASH that an earlier verify has printed");
  verify_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return verify(options, *arguments); };
  });
}

}  // namespace entente::cli
