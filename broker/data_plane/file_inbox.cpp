#include "broker/data_plane/file_inbox.h"

#include <utility>

namespace entente::broker {

namespace fs = std::filesystem;

// <folder>/<role>/<name>
FileInbox::FileInbox(fs::path folder) : folder_(std::move(folder)) {
  std::error_code none;
  for (const auto& role : fs::directory_iterator(folder_, none)) {
    for (const auto& sender : fs::directory_iterator(role)) {
      (void)of(fs::relative(sender, folder_).string());
    }
  }
}

BlobStore& FileInbox::of(const std::string& sender) {
  auto& store = stores_[sender];
  if (!store) {
    store = std::make_unique<BlobStore>(folder_ / sender);
  }
  return *store;
}

BlobStore* FileInbox::find(const std::string& sender) {
  const auto store = stores_.find(sender);
  return store == stores_.end() ? nullptr : store->second.get();
}

void FileInbox::forget(const std::string& sender, const BlobId& blob) {
  if (BlobStore* store = find(sender)) {
    store->remove(blob);
  }
}

std::vector<FileInbox::Left> FileInbox::list() const {
  std::vector<Left> left;
  for (const auto& [sender, store] : stores_) {
    for (const auto& blob : store->list()) {
      left.push_back({sender, blob});
    }
    for (const auto& [blob, bytes] : store->list_partial()) {
      left.push_back({sender, blob});
    }
  }
  return left;
}

}  // namespace entente::broker
