// What every subject needs: texts, digests, lists, refusals and metrics, from and to the schemas.
#pragma once

#include <capnp/blob.h>
#include <capnp/list.h>
#include <schemas/refusal.capnp.h>
#include <schemas/task.capnp.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/prose.h"
#include "common/base/refusal.h"
#include "common/domain/model_spec.h"
#include "common/domain/task.h"
#include "common/wire/checks.h"

namespace entente::wire {

// Both are views: the value must live on until it is written or read.
inline capnp::Text::Reader text(const std::string& value) { return {value.c_str(), value.size()}; }
inline std::string_view view(capnp::Text::Reader value) { return {value.begin(), value.size()}; }

inline capnp::Data::Reader data(const BlobId& id) { return {id.bytes.data(), id.bytes.size()}; }

[[nodiscard]] BlobId read_digest(capnp::Data::Reader value, std::string_view what);
// Null or empty: nothing.
[[nodiscard]] std::optional<BlobId> read_optional_digest(capnp::Data::Reader value,
                                                         std::string_view what);

// -0.0 == 0.0, and equal specs have equal bytes.
inline double unsigned_zero(double value) { return value == 0.0 ? 0.0 : value; }

// Fills the list that `init(count)` makes; an empty one stays a null pointer.
template <class Items, class Init, class Write>
void write_list(const Items& items, Init init, Write write_item) {
  if (items.empty()) {
    return;
  }
  auto list = init(static_cast<unsigned>(items.size()));
  unsigned i = 0;
  for (const auto& item : items) {
    write_item(item, list[i++]);
  }
}

template <class T, class List, class Read>
std::vector<T> read_list(List list, std::size_t max, std::string_view what, Read read_item) {
  check_count(list.size(), max, what);
  std::vector<T> items;
  items.reserve(list.size());
  for (auto item : list) {
    items.push_back(read_item(item));
  }
  return items;
}

void write_texts(const std::vector<std::string>& texts, capnp::List<capnp::Text>::Builder to);

template <class NameType>
void write_names(const std::vector<NameType>& names, capnp::List<capnp::Text>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to.set(i, text(names[i].str()));
  }
}

template <class NameType>
std::vector<NameType> read_names(capnp::List<capnp::Text>::Reader from, std::size_t max,
                                 std::string_view what) {
  return read_list<NameType>(from, max, what, [&](capnp::Text::Reader name) {
    return read_name<NameType>(view(name), what);
  });
}

void write_shape(const Shape& shape, capnp::List<std::int64_t>::Builder to);
[[nodiscard]] Shape read_shape(capnp::List<std::int64_t>::Reader from, std::string_view what);

void write(const Refusal& refusal, schema::Refusal::Builder to);
[[nodiscard]] Refusal read(schema::Refusal::Reader from);

void write_sums(const Sums& sums, capnp::List<schema::NamedSums>::Builder to);
[[nodiscard]] Sums read_sums(capnp::List<schema::NamedSums>::Reader from, std::string_view what);

void write_metrics(const Metrics& metrics, capnp::List<schema::Metric>::Builder to);
[[nodiscard]] Metrics read_metrics(capnp::List<schema::Metric>::Reader from);

}  // namespace entente::wire
