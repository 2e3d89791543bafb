// Writing the PKI's files so that a crash leaves either the old file or the whole of the new one.
//
// All of them throw std::system_error when the disk refuses.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "common/base/refusal.h"

namespace entente::pki {

// Refuses with "file_exists" instead of overwriting: a lost private key can't be brought back.
[[nodiscard]] Expected<void> write_new_file(const std::filesystem::path& path,
                                            std::string_view text, mode_t mode);

void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode);

// Makes `folder` (mode 0700) and its parents if they are missing.
void make_private_folder(const std::filesystem::path& folder);

// Held while a CA's index is read and rewritten: two operators at a time would lose a row, and with
// it the means to revoke that certificate. Waits for the other one.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace entente::pki
