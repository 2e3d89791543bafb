// Files on this machine that a coordinator brings along with a job (common/domain/brought_files.h):
// read and checked before anything is submitted, so that what is wrong with one is said with the
// tensor's name, and then sent over the data plane.
//
// What travels are the job's tensors in the job's order. A file that is written so goes as it is,
// and then its SHA-256 is the one that the job names; any other (Python's library sorts by name) is
// written anew first. Either way the same file gives the same digest again.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "common/blob/blob_store.h"
#include "common/config/job_file.h"
#include "common/domain/brought_files.h"
#include "common/runtime/nameless_file.h"
#include "common/runtime/scratch_folder.h"
#include "coordinator/broker_client.h"

namespace entente::cli {

class LocalFiles {
 public:
  // Reads each of `paths` and puts digest and size into `spec`, which was read from a job file.
  // Refuses with "file_missing", "tensors_invalid", "layout_mismatch", "not_finite", or like
  // validate() what the whole comes to. Throws std::system_error when a disk fails.
  [[nodiscard]] Expected<void> read(JobSpec& spec, const FilePaths& paths);

  // Reads one file for a job that was submitted. Refuses likewise, and with "file_unknown" one that
  // the job does not name.
  [[nodiscard]] Expected<void> read(const JobSpec& submitted, const JobId& job,
                                    const std::filesystem::path& path);

  struct Ready {
    BroughtFile file;
    std::filesystem::path path;  // as it was named
  };
  [[nodiscard]] const std::vector<Ready>& ready() const { return ready_; }

  // What becomes of a file that the broker does not wait for, mostly since it has it already.
  enum class NotAwaited { skip, refuse };

  // Sends all that was read, and says so as it goes, unless `options` ask for JSON. Resumes what an
  // earlier try has left at the broker. Refuses with the broker's refusal, with "transfer_cut", or
  // with "file_unreadable".
  [[nodiscard]] Expected<void> send(const Options& options, BrokerClient& client,
                                    NotAwaited not_awaited) const;

 private:
  // The file as it will travel.
  [[nodiscard]] Expected<BroughtFile> take(FileUse use, const JobSpec& spec,
                                           const std::filesystem::path& path);
  [[nodiscard]] Expected<void> rewrite(const TensorLayout& layout,
                                       const std::filesystem::path& path,
                                       const std::filesystem::path& to) const;

  // What is sent, by its digest: links to the files, or to what was written anew. Made with the
  // first one.
  struct Outbox {
    ScratchFolder folder{"entente-upload"};
    BlobStore blobs{folder.path() / "blobs"};
    std::vector<std::unique_ptr<NamelessFile>> rewritten;

    [[nodiscard]] BroughtFile link(FileUse use, const std::filesystem::path& path) const;
  };
  std::unique_ptr<Outbox> outbox_;
  std::vector<Ready> ready_;
};

}  // namespace entente::cli
