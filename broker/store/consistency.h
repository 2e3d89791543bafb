// What has to hold between the rows of the broker's database, beyond what SQLite checks itself: one
// query per rule, which finds the rows that break it.
//
// The audit log's hashes cover what counts most: submitted specs, accepted updates, published
// models. So a bit that flips in one of those rows, or in the audit log, shows as two rows that
// disagree. The other rules hold the states of jobs, rounds and tasks against each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/storage/statements.h"

namespace entente::broker {

enum class Rules : std::uint8_t {
  audited,  // rows against the audit log; what a start asks for
  all,
};

// A sentence for each row that breaks a rule, at most `limit` of them.
[[nodiscard]] std::vector<std::string> contradictions(Statements& statements, Rules rules,
                                                      std::size_t limit);

}  // namespace entente::broker
