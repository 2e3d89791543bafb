// Files that coordinators bring, until the row that says so is written: each sender has a blob
// store of its own, apart from the broker's.
//
// A digest is no secret: receipts and the audit log have those of single updates. Who may name a
// digest to be given its blob must therefore bring the bytes, all of them, also when the broker has
// them already, and goes on with what it has brought itself, never with what another one has left.
// Once complete and checked, a file is the broker's too (BlobStore::link); it stays here until it
// is forgotten, so that a broker that dies in between knows who has brought what.
//
// Not thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/blob/blob_store.h"

namespace entente::broker {

class FileInbox {
 public:
  // Opens what senders have left there.
  explicit FileInbox(std::filesystem::path folder);

  // Of the sender with this identity's path; made when it is first needed.
  [[nodiscard]] BlobStore& of(const std::string& sender);
  // Null when that sender has left nothing.
  [[nodiscard]] BlobStore* find(const std::string& sender);
  // Forgets the sender's file, also a part of it.
  void forget(const std::string& sender, const BlobId& blob);

  struct Left {
    std::string sender;
    BlobId blob;
    bool operator==(const Left&) const = default;
  };
  // Whatever has not been forgotten, complete or not.
  [[nodiscard]] std::vector<Left> list() const;

 private:
  const std::filesystem::path folder_;
  std::map<std::string, std::unique_ptr<BlobStore>> stores_;
};

}  // namespace entente::broker
