#include "site-agent/journal/ledger.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

namespace entente::agent {

Expected<std::vector<SentRow>> read_ledger(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    return refuse("journal_missing", fmt::format("there is no journal at {}", path.string()),
                  "check data_dir; the journal is made when the agent first runs", Scope::site);
  }
  try {
    constexpr int kBusyMs = 2000;
    SQLite::Database sql(path.string(), SQLite::OPEN_READONLY, kBusyMs);
    SQLite::Statement select(sql, "SELECT * FROM sent ORDER BY unix_ms, job, round, kind, attempt");
    // A journal that no agent of this version has opened yet is not migrated.
    const bool has_sums = sql.execAndGet(
                                 "SELECT count(*) FROM pragma_table_info('sent') "
                                 "WHERE name = 'sums'")
                              .getInt() == 1;
    std::vector<SentRow> rows;
    while (select.executeStep()) {
      SentRow row;
      row.unix_ms = select.getColumn("unix_ms").getInt64();
      row.job = select.getColumn("job").getString();
      row.coordinator = select.getColumn("coordinator").getString();
      row.round = select.getColumn("round").getUInt();
      row.kind = select.getColumn("kind").getString();
      row.attempt = select.getColumn("attempt").getUInt();
      row.state = select.getColumn("state").getString();
      row.blob = select.getColumn("blob").getString();
      row.blob_bytes = static_cast<std::uint64_t>(select.getColumn("blob_bytes").getInt64());
      row.examples = static_cast<std::uint64_t>(select.getColumn("examples").getInt64());
      row.metrics_json = select.getColumn("metrics").getString();
      row.sums_json = has_sums ? select.getColumn("sums").getString() : "{}";
      rows.push_back(std::move(row));
    }
    return rows;
  } catch (const SQLite::Exception& error) {
    return refuse("journal_unreadable",
                  fmt::format("the journal {} cannot be read: {}", path.string(), error.what()),
                  "run the command as the user that the agent runs as", Scope::site);
  }
}

std::string_view to_string(Departure departure) {
  switch (departure) {
    case Departure::announced:
      return "announced";
    case Departure::uploading:
      return "uploading";
    case Departure::accepted:
      return "accepted";
    case Departure::refused:
      return "refused";
  }
  return "unknown";  // no legal state of the ledger: the row is not written
}

}  // namespace entente::agent
