// Who may put and get which blob, right now.
//
// The loop writes it, the data thread looks every message up in it; all functions may be called
// from any thread and take effect before they return. A second grant for the same peer and blob
// replaces the first.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "broker/data_plane/grants.h"

namespace entente::broker {

class GrantBook {
 public:
  void add(PutGrant grant);
  void add(GetGrant grant);
  // Ends both the put and the get grant. Returns the put grant, if there was one.
  std::optional<PutGrant> revoke(const std::string& peer, const BlobId& blob);

  [[nodiscard]] std::optional<PutGrant> put(const std::string& peer, const BlobId& blob) const;
  [[nodiscard]] bool may_get(const std::string& peer, const BlobId& blob) const;

 private:
  using Key = std::pair<std::string, BlobId>;

  mutable std::mutex mutex_;
  std::map<Key, PutGrant> puts_;
  std::set<Key> gets_;
};

}  // namespace entente::broker
