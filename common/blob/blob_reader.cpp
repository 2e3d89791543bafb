#include "common/blob/blob_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "common/base/check.h"

namespace entente {

Expected<BlobReader> BlobReader::open(const BlobStore& store, const BlobId& id) {
  std::optional<File> file = File::open_existing(store.path(id));
  if (!file) {
    return refuse("blob_missing", fmt::format("blob {} is not stored here", id.short_hex()), {},
                  Scope::task);
  }
  return BlobReader(id, std::move(*file));
}

zmq::message_t BlobReader::chunk_at(std::uint64_t offset, std::size_t bytes_max) const {
  ENTENTE_CHECK(offset < size_);
  zmq::message_t chunk(std::min<std::uint64_t>(bytes_max, size_ - offset));
  const std::span bytes(chunk.data<std::byte>(), chunk.size());
  if (file_.read_at(offset, bytes) != bytes.size()) {
    throw std::system_error(EIO, std::generic_category(),
                            fmt::format("blob {} is shorter than it was", id_.short_hex()));
  }
  return chunk;
}

}  // namespace entente
