// Reads one finished blob in chunks. It holds the file open, so that the blob stays readable to the
// end even when it is removed from the store meanwhile. One thread at a time.
#pragma once

#include <cstdint>
#include <zmq.hpp>

#include "common/base/blob_id.h"
#include "common/base/refusal.h"
#include "common/blob/blob_store.h"
#include "common/blob/file.h"

namespace entente {

class BlobReader {
 public:
  // Refuses with "blob_missing". Throws std::system_error when the disk fails.
  [[nodiscard]] static Expected<BlobReader> open(const BlobStore& store, const BlobId& id);

  [[nodiscard]] std::uint64_t size() const { return size_; }

  // The bytes from `offset` on, `bytes_max` at most, read straight into the message that will carry
  // them. `offset` must be below the size. Throws std::system_error when the disk fails.
  [[nodiscard]] zmq::message_t chunk_at(std::uint64_t offset, std::size_t bytes_max) const;

 private:
  BlobReader(const BlobId& id, File file) : id_(id), file_(std::move(file)), size_(file_.size()) {}

  BlobId id_;
  File file_;
  std::uint64_t size_;
};

}  // namespace entente
