// An open file, with the few calls that durable storage needs. Every failure throws
// std::system_error that names the file, so that nobody can forget to look at a return value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "common/base/blob_id.h"
#include "common/crypto/digest.h"

namespace entente {

class File {
 public:
  // `flags` as for open(2); O_CLOEXEC is added. A file that is made belongs to its owner alone.
  [[nodiscard]] static File open(const std::filesystem::path& path, int flags);
  // Read-only; nothing when there is no such file.
  [[nodiscard]] static std::optional<File> open_existing(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  [[nodiscard]] std::uint64_t size() const;
  // Fills `out` as far as the file reaches; returns how far that was.
  [[nodiscard]] std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const;
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void truncate(std::uint64_t bytes);

  // Sets disk space aside for `bytes` in all without changing the file's length, which is the
  // resume point of a partial blob. False when the disk can't hold them; nothing is kept then.
  [[nodiscard]] bool reserve(std::uint64_t bytes);

  // Starts writing `[begin, end)` to the disk without waiting for it.
  void start_writeback(std::uint64_t begin, std::uint64_t end);
  // Waits until `[begin, end)` has left for the disk. For pacing; promises nothing about a crash.
  void await_writeback(std::uint64_t begin, std::uint64_t end);

  // Never call one of these again after it has thrown: the kernel may have marked the lost pages as
  // clean, and a second call would report success.
  void sync_data();
  void sync();

  // Feeds the first `bytes` bytes to `hash`; throws when the file is shorter.
  void hash_into(Sha256& hash, std::uint64_t bytes) const;
  [[nodiscard]] Digest digest() const;

 private:
  File(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  [[noreturn]] void fail(const char* action) const;
  void sync_range(std::uint64_t begin, std::uint64_t end, unsigned flags);

  int fd_ = -1;
  std::filesystem::path path_;
};

// Makes the folder, and those above it that are missing, each for its owner alone and with its
// entry on the disk: otherwise a power cut would take it with everything in it. The entry is synced
// also when the folder is there: whoever made it may have been killed before that.
void make_folder(const std::filesystem::path& folder);

// Makes renames, creations and removals in `folder` durable.
void sync_folder(const std::filesystem::path& folder);

}  // namespace entente
