// A folder of blobs, each named by the SHA-256 of its bytes.
//
//   <folder>/ab/abcdef...        a finished blob: complete, verified, fsynced
//   <folder>/partial/abcdef...   an upload or download under way; its length is the resume point
//   <folder>/quarantine/abc...   a blob whose bytes have changed: kept for people, never used
//
// Finished blobs never change. A large one that this process has just hashed is believed for a
// moment (fresh_blobs.h). A writer reserves its space first, so that a full disk is a clean
// refusal at the start; paces its writes; verifies the digest; fsyncs, renames and fsyncs the
// folder before `finish` returns (unless the blob is a copy). A failed fsync is never retried: it
// throws. May be used from several threads as long as no two write the same blob (`open_writer`
// refuses the second).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/refusal.h"

namespace entente {

class BlobWriter {
 public:
  virtual ~BlobWriter() = default;  // keeps what was written for a later resume
  // Where the next byte goes: the resume point after opening.
  [[nodiscard]] virtual std::uint64_t offset() const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  // Throws std::system_error when the disk fails. Never past `size`: that is the caller's bug.
  virtual void append(std::span<const std::byte> bytes) = 0;
  // Verifies and publishes. Refuses with "blob_corrupt" (and discards the bytes) when the digest is
  // another one.
  [[nodiscard]] virtual Expected<void> finish() = 0;
};

// What a finished blob is worth. A copy of what another holder keeps durable may be lost in a
// crash, or be found damaged after it, and is then fetched again: it needs no fsync and no pacing.
enum class Keeping : std::uint8_t { durable, copy };

class BlobStore {
 public:
  // Makes the folder when it is missing. Throws std::system_error when it can't.
  explicit BlobStore(std::filesystem::path folder);
  ~BlobStore();

  [[nodiscard]] bool has(const BlobId& id) const;
  [[nodiscard]] std::optional<std::uint64_t> size(const BlobId& id) const;
  // Path of a finished blob, whether it exists or not.
  [[nodiscard]] std::filesystem::path path(const BlobId& id) const;

  // Refuses with "blob_busy" (being written by another) or "disk_full".
  [[nodiscard]] Expected<std::unique_ptr<BlobWriter>> open_writer(
      const BlobId& id, std::uint64_t bytes, Keeping keeping = Keeping::durable);
  // Takes over a finished file on the same file system: hashes, fsyncs, renames. Returns its name.
  [[nodiscard]] BlobId adopt(const std::filesystem::path& file);
  // Makes a finished blob of another store on this file system one of this store's, too, unless it
  // has it. The bytes must be known to be sound; none is copied.
  void link(const BlobId& id, const std::filesystem::path& file);

  // Reads a finished blob again: false when its digest is no longer its name.
  [[nodiscard]] bool verify(const BlobId& id) const;
  // The same before a blob is used: one that has changed is moved to quarantine, so that nobody
  // finds it under its name again. False also when there is none.
  [[nodiscard]] bool vouch_for(const BlobId& id);
  // Whether `vouch_for` would believe it without reading it.
  [[nodiscard]] bool is_fresh(const BlobId& id) const;
  // Where `vouch_for` puts a damaged blob.
  [[nodiscard]] std::filesystem::path quarantine_path(const BlobId& id) const;
  // Forgets the blob and what an unfinished transfer has left of it; one that is under way leaves
  // nothing when it breaks off. Never waits for the disk to free a large blob.
  void remove(const BlobId& id);
  [[nodiscard]] std::vector<BlobId> list() const;
  // Whether an unfinished transfer of it has left something, or is under way.
  [[nodiscard]] bool has_partial(const BlobId& id) const;
  // What unfinished transfers have left, with its length so far.
  [[nodiscard]] std::vector<std::pair<BlobId, std::uint64_t>> list_partial() const;
  // A path in this store's file system for a file to be adopted later.
  [[nodiscard]] std::filesystem::path scratch_path(const std::string& name) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Writes `bytes` to `path` so that a crash leaves the old file or the new one: temporary name,
// fsync, rename, fsync of the folder. Throws std::system_error.
void write_file_durably(const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace entente
