// Typed binding and reading for SQLite statements: ids, digests, metrics.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/blob_id.h"
#include "common/domain/job_view.h"
#include "common/domain/task.h"

namespace entente::broker {

// Binds values to the parameters of a statement from left to right.
class Binder {
 public:
  explicit Binder(SQLite::Statement& statement) : statement_(statement) {}
  Binder& text(std::string_view value);
  Binder& integer(std::uint64_t value);  // stored as the same 64 bits
  Binder& real(double value);
  Binder& bytes(std::string_view value);
  Binder& digest(const std::optional<BlobId>& value);  // none: NULL
  Binder& metrics(const Metrics& value);  // throws std::invalid_argument unless all are finite
  Binder& sums(const Sums& value);        // likewise
  Binder& evaluations(const SiteEvaluations& value);

 private:
  SQLite::Statement& statement_;
  int index_ = 0;
};

// Reads the columns of the current row from left to right. Throws std::runtime_error on a value
// that this program never writes.
class RowReader {
 public:
  explicit RowReader(SQLite::Statement& statement) : statement_(statement) {}
  [[nodiscard]] std::string text();
  [[nodiscard]] std::uint64_t integer();
  [[nodiscard]] double real();
  [[nodiscard]] std::string bytes();
  [[nodiscard]] std::optional<BlobId> digest();
  [[nodiscard]] BlobId required_digest();
  [[nodiscard]] Metrics metrics();
  [[nodiscard]] Sums sums();
  [[nodiscard]] SiteEvaluations evaluations();

  // A column that holds one of the domain's words, read with its parse function.
  template <class T>
  [[nodiscard]] T word(std::optional<T> (*parse)(std::string_view)) {
    const auto value = text();
    const auto parsed = parse(value);
    if (!parsed) {
      reject(value);
    }
    return *parsed;
  }

 private:
  [[noreturn]] void reject(const std::string& value) const;
  SQLite::Statement& statement_;
  int index_ = -1;
};

}  // namespace entente::broker
