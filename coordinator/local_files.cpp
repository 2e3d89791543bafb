#include "coordinator/local_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <optional>
#include <system_error>

#include "common/base/figures.h"
#include "common/base/limits.h"
#include "common/crypto/digest.h"
#include "common/tensors/safetensors.h"

namespace entente::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytes = 1 << 20;

// As safetensors' other readers expect.
const TensorMetadata kMetadata{{"format", "pt"}};

Refusal about(FileUse use, const fs::path& path, Refusal refusal) {
  refusal.message = fmt::format("{}, {}: {}", key_of(use), path.string(), refusal.message);
  if (use == FileUse::initial_model && refusal.code == "layout_mismatch") {
    refusal.hint = "compare it with the job's own tensors: entente model describe JOB_FILE";
  }
  if (use == FileUse::inputs && refusal.code == "layout_mismatch") {
    refusal.hint = fmt::format(
        "write one tensor \"{}\", float32, a row for each example, in the "
        "shape of model.input",
        kInputsTensor);
  }
  return refusal;
}

Expected<void> check_there(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    return {};
  }
  const bool is_digest = BlobId::parse(path.filename().string()).has_value();
  return refuse("file_missing", "there is no such file",
                is_digest ? "that is the digest of a file: write the path of the file in its place"
                          : "a relative path is meant from the job file's folder");
}

Digest digest_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> block(kReadBytes);
  Sha256 digest;
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
    digest.update(std::string_view(block.data(), static_cast<std::size_t>(file.gcount())));
  }
  if (file.bad()) {
    throw std::system_error(EIO, std::generic_category(), "cannot read " + path.string());
  }
  return digest.finish();
}

// How many rows the inputs have; 0 where there are none, and check_tensors says what is there.
std::uint64_t rows_of(const TensorFile& file) {
  for (const auto& tensor : file.layout().tensors) {
    if (tensor.name == kInputsTensor && !tensor.shape.empty()) {
      return static_cast<std::uint64_t>(tensor.shape.front());
    }
  }
  return 0;
}

// One line that is written over as bytes move, on a terminal; otherwise one at the beginning.
class Display {
 public:
  Display(const Options& options, const LocalFiles::Ready& ready)
      : is_quiet_(options.json),
        is_terminal_(::isatty(STDOUT_FILENO) == 1),
        what_(fmt::format("sending {}, {}", ready.path.filename().string(),
                          human_bytes(ready.file.bytes))) {
    if (!is_quiet_ && !is_terminal_) {
      fmt::print("{}\n", what_);
    }
  }

  void moved(std::uint64_t done, std::uint64_t total) const {
    if (!is_quiet_ && is_terminal_ && total > 0) {
      fmt::print("\r{}: {:3} % ", what_, done * 100 / total);
      std::fflush(stdout);
    }
  }

  void ended(std::string_view how) const {
    if (!is_quiet_ && is_terminal_) {
      fmt::print("\r{}: {}  \n", what_, how);
    }
  }

 private:
  bool is_quiet_;
  bool is_terminal_;
  std::string what_;
};

// The file is read as it is sent: somebody may have shortened it since it was checked.
Expected<void> send_one(BrokerClient& client, const BlobStore& blobs, const BlobId& blob,
                        const Display& display) {
  try {
    return client.upload(blobs, blob,
                         [&display](auto done, auto total) { display.moved(done, total); });
  } catch (const std::system_error& error) {
    return refuse("file_unreadable", error.what(), "see whether the file is still there");
  }
}

}  // namespace

Expected<void> LocalFiles::rewrite(const TensorLayout& layout, const fs::path& path,
                                   const fs::path& to) const {
  const auto file = TensorFile::open(path);
  return file ? rewrite_tensors(*file, layout, kMetadata, to) : tl::unexpected(file.error());
}

Expected<BroughtFile> LocalFiles::take(FileUse use, const JobSpec& spec, const fs::path& path) {
  if (!outbox_) {
    outbox_ = std::make_unique<Outbox>();
  }
  const auto layout = file_layout(use, spec);
  auto checked = check_tensors(path, layout, limits::kUpdateNormMax);
  if (checked) {
    return outbox_->link(use, fs::absolute(path));
  }
  if (checked.error().code != "layout_mismatch") {
    return tl::unexpected(about(use, path, checked.error()));
  }
  const auto& fresh = *outbox_->rewritten.emplace_back(std::make_unique<NamelessFile>());
  if (auto rewritten = rewrite(layout, path, fresh.path()); !rewritten) {
    return tl::unexpected(about(use, path, rewritten.error()));
  }
  checked = check_tensors(fresh.path(), layout, limits::kUpdateNormMax);
  if (!checked) {
    return tl::unexpected(about(use, path, checked.error()));
  }
  return outbox_->link(use, fresh.path());
}

BroughtFile LocalFiles::Outbox::link(FileUse use, const fs::path& path) const {
  const auto blob = digest_of(path);
  fs::create_directories(blobs.path(blob).parent_path());
  std::error_code exists;
  fs::create_symlink(path, blobs.path(blob), exists);
  return BroughtFile{use, blob, fs::file_size(path)};
}

Expected<void> LocalFiles::read(JobSpec& spec, const FilePaths& paths) {
  for (const auto& [use, path] : paths) {
    if (auto there = check_there(path); !there) {
      return tl::unexpected(about(use, path, there.error()));
    }
    if (use == FileUse::inputs) {
      const auto file = TensorFile::open(path);
      if (!file) {
        return tl::unexpected(about(use, path, file.error()));
      }
      spec.predict->examples = rows_of(*file);
      if (spec.predict->examples == 0) {
        return tl::unexpected(
            about(use, path,
                  {"layout_mismatch",
                   fmt::format("it has no tensor \"{}\" with rows", kInputsTensor), ""}));
      }
    }
    auto file = take(use, spec, path);
    if (!file) {
      return tl::unexpected(file.error());
    }
    switch (use) {
      case FileUse::initial_model:
        spec.init->file = file->blob;
        spec.init->bytes = file->bytes;
        break;
      case FileUse::inputs:
        spec.predict->inputs = file->blob;
        spec.predict->inputs_bytes = file->bytes;
        break;
    }
    ready_.push_back({*file, path});
  }
  if (paths.empty()) {
    return {};
  }
  const auto whole = validate(spec);
  return whole ? Expected<void>() : tl::unexpected(whole.error());
}

Expected<void> LocalFiles::read(const JobSpec& submitted, const JobId& job, const fs::path& path) {
  if (auto there = check_there(path); !there) {
    there.error().message = fmt::format("{}: {}", path.string(), there.error().message);
    there.error().hint = "name the file that the job was submitted with";
    return there;
  }
  if (const auto sound = validate(submitted); !sound || !has_its_files(submitted)) {
    return refuse(
        "job_invalid",
        fmt::format("the broker tells of {} what this program does not understand", job.str()),
        "see whether there is a newer version of it");
  }
  std::optional<Refusal> unlike;
  for (const auto& wanted : brought_files(submitted)) {
    auto file = take(wanted.use, submitted, path);
    if (file && *file == wanted) {
      ready_.push_back({*file, path});
      return {};
    }
    if (file) {
      unlike = Refusal{"file_unknown",
                       fmt::format("{} is not the file that {} was submitted with: its tensors "
                                   "have the digest {}, {} names {}",
                                   path.string(), job.str(), file->blob.short_hex(),
                                   key_of(wanted.use), wanted.blob.short_hex()),
                       "name that file, or submit the job again with this one"};
    } else if (!unlike) {
      unlike = file.error();
    }
  }
  return tl::unexpected(unlike.value_or(
      Refusal{"file_unknown", fmt::format("{} was submitted with no file", job.str()),
              "see what it waits for with: entente job explain " + job.str()}));
}

Expected<void> LocalFiles::send(const Options& options, BrokerClient& client,
                                NotAwaited not_awaited) const {
  for (const auto& ready : ready_) {
    const Display display(options, ready);
    auto sent = send_one(client, outbox_->blobs, ready.file.blob, display);
    const bool is_skipped =
        !sent && sent.error().code == "not_granted" && not_awaited == NotAwaited::skip;
    display.ended(sent ? "done" : is_skipped ? "the broker has it" : "broken off");
    if (!sent && !is_skipped) {
      return sent;
    }
  }
  return {};
}

}  // namespace entente::cli
