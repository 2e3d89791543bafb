#include "common/storage/statements.h"

namespace entente {

SQLite::Statement& Statements::prepare(const char* sql) {
  auto found = prepared_.find(sql);
  if (found == prepared_.end()) {
    found = prepared_.try_emplace(sql, *database_, sql).first;
  }
  found->second.reset();
  found->second.clearBindings();
  return found->second;
}

}  // namespace entente
