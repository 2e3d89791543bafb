#include "broker/data_plane/grant_book.h"

namespace entente::broker {

void GrantBook::add(PutGrant grant) {
  Key key{grant.peer, grant.blob};
  const std::lock_guard lock(mutex_);
  puts_.insert_or_assign(std::move(key), std::move(grant));
}

void GrantBook::add(GetGrant grant) {
  const std::lock_guard lock(mutex_);
  gets_.emplace(std::move(grant.peer), grant.blob);
}

std::optional<PutGrant> GrantBook::revoke(const std::string& peer, const BlobId& blob) {
  const Key key{peer, blob};
  const std::lock_guard lock(mutex_);
  gets_.erase(key);
  auto put = puts_.extract(key);
  return put.empty() ? std::nullopt : std::optional(std::move(put.mapped()));
}

std::optional<PutGrant> GrantBook::put(const std::string& peer, const BlobId& blob) const {
  const std::lock_guard lock(mutex_);
  const auto found = puts_.find(Key{peer, blob});
  return found == puts_.end() ? std::nullopt : std::optional(found->second);
}

bool GrantBook::may_get(const std::string& peer, const BlobId& blob) const {
  const std::lock_guard lock(mutex_);
  return gets_.contains(Key{peer, blob});
}

}  // namespace entente::broker
