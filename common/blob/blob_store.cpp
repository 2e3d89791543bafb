#include "common/blob/blob_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "common/blob/file.h"
#include "common/blob/fresh_blobs.h"
#include "common/blob/removed_files.h"
#include "common/crypto/digest.h"
#include "common/crypto/random.h"
#include "common/runtime/failpoint.h"

namespace entente {
namespace fs = std::filesystem;
namespace {

// Unpaced bulk writes delay everybody else's fsync, the database's first of all.
constexpr std::uint64_t kPaceBytes = 1 << 20;

// The blobs that are being written; shared with the writers, which may outlive the store.
class BusySet {
 public:
  bool try_add(const BlobId& id) {
    const std::lock_guard lock(mutex_);
    return ids_.insert(id).second;
  }
  // Nobody is to go on with the one that is being written now.
  void call_off(const BlobId& id) {
    const std::lock_guard lock(mutex_);
    if (ids_.contains(id)) {
      called_off_.insert(id);
    }
  }
  // Whether that was called off meanwhile.
  [[nodiscard]] bool release(const BlobId& id) {
    const std::lock_guard lock(mutex_);
    ids_.erase(id);
    return called_off_.erase(id) > 0;
  }

 private:
  std::mutex mutex_;
  std::set<BlobId> ids_;
  std::set<BlobId> called_off_;
};

// The right to write one blob, held as long as this object lives. What is unfinished then stays for
// a later resume, unless it was called off.
class Claim {
 public:
  static std::optional<Claim> take(std::shared_ptr<BusySet> busy, const BlobId& id,
                                   fs::path partial) {
    if (!busy->try_add(id)) {
      return std::nullopt;
    }
    return Claim(std::move(busy), id, std::move(partial));
  }
  Claim(Claim&& other) noexcept = default;
  Claim& operator=(Claim&&) = delete;
  ~Claim() {
    if (busy_ && busy_->release(id_)) {
      std::error_code ignored;
      fs::remove(partial_, ignored);
    }
  }

 private:
  Claim(std::shared_ptr<BusySet> busy, const BlobId& id, fs::path partial)
      : busy_(std::move(busy)), id_(id), partial_(std::move(partial)) {}
  std::shared_ptr<BusySet> busy_;
  BlobId id_;
  fs::path partial_;
};

// The folders in which blobs are filed, each made once: its entry is on the disk from then on.
class Shelves {
 public:
  void make(const fs::path& shelf) {
    const std::lock_guard lock(mutex_);
    if (!made_.contains(shelf)) {
      make_folder(shelf);
      made_.insert(shelf);
    }
  }

 private:
  std::mutex mutex_;
  std::set<fs::path> made_;
};

// The bytes of `file` must be on the disk already.
void publish(Shelves& shelves, const fs::path& file, const fs::path& target,
             Keeping keeping = Keeping::durable) {
  shelves.make(target.parent_path());
  ENTENTE_FAILPOINT("blob.rename.before");
  fs::rename(file, target);
  ENTENTE_FAILPOINT("blob.rename.after");
  if (keeping == Keeping::durable) {
    sync_folder(target.parent_path());
  }
  ENTENTE_FAILPOINT("blob.published");
}

FreshBlobs::Clock::time_point now() { return FreshBlobs::Clock::now(); }

class PacedWriter final : public BlobWriter {
 public:
  PacedWriter(Claim claim, std::shared_ptr<FreshBlobs> fresh, std::shared_ptr<Shelves> shelves,
              const BlobId& id, File file, fs::path partial, fs::path target, std::uint64_t size,
              Keeping keeping)
      : claim_(std::move(claim)),
        fresh_(std::move(fresh)),
        shelves_(std::move(shelves)),
        id_(id),
        file_(std::move(file)),
        partial_(std::move(partial)),
        target_(std::move(target)),
        size_(size),
        keeping_(keeping),
        offset_(file_.size()),
        paced_(offset_) {
    file_.hash_into(hash_, offset_);
  }

  [[nodiscard]] std::uint64_t offset() const override { return offset_; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }

  void append(std::span<const std::byte> bytes) override {
    ENTENTE_CHECK(state_ == State::writing);
    ENTENTE_CHECK(bytes.size() <= size_ - offset_);
    state_ = State::broken;  // until everything below has succeeded
    file_.write_at(offset_, bytes);
    hash_.update(bytes);
    offset_ += bytes.size();
    pace();
    state_ = State::writing;
    ENTENTE_FAILPOINT("blob.chunk.written");
  }

  [[nodiscard]] Expected<void> finish() override {
    ENTENTE_CHECK(state_ == State::writing);
    ENTENTE_CHECK(offset_ == size_);
    state_ = State::broken;
    const Digest digest = hash_.finish();
    if (digest != id_) {
      fs::remove(partial_);
      return refuse("blob_corrupt",
                    fmt::format("the bytes received for blob {} have the digest {}",
                                id_.short_hex(), digest.short_hex()),
                    "send the blob again from its start", Scope::task);
    }
    ENTENTE_FAILPOINT("blob.sync.before");
    if (keeping_ == Keeping::durable) {
      file_.sync_data();
    }
    publish(*shelves_, partial_, target_, keeping_);
    fresh_->note(id_, size_, now());
    return {};
  }

 private:
  enum class State : std::uint8_t { writing, broken };

  // Keeps at most two paces of dirty pages: the one on its way to the disk and the one that fills.
  // A copy is the kernel's to write: the next model has replaced it before that, most of the time.
  void pace() {
    while (keeping_ == Keeping::durable && offset_ - paced_ >= kPaceBytes) {
      const std::uint64_t begin = paced_;
      paced_ += kPaceBytes;
      file_.start_writeback(begin, paced_);
      file_.await_writeback(begin >= kPaceBytes ? begin - kPaceBytes : 0, begin);
    }
  }

  Claim claim_;
  std::shared_ptr<FreshBlobs> fresh_;
  std::shared_ptr<Shelves> shelves_;
  BlobId id_;
  File file_;
  fs::path partial_;
  fs::path target_;
  std::uint64_t size_;
  Keeping keeping_;
  std::uint64_t offset_;
  std::uint64_t paced_;  // handed to the disk up to here
  Sha256 hash_;
  State state_ = State::writing;
};

}  // namespace

class BlobStore::Impl {
 public:
  explicit Impl(fs::path folder) : folder_(std::move(folder)) {
    make_folder(folder_);
    make_folder(folder_ / "partial");
    fs::remove_all(folder_ / "scratch");
    make_folder(folder_ / "scratch");
    removed_.emplace(folder_ / "scratch");
  }

  [[nodiscard]] fs::path finished(const BlobId& id) const {
    const std::string hex = id.hex();
    return folder_ / hex.substr(0, 2) / hex;
  }
  [[nodiscard]] fs::path partial(const BlobId& id) const { return folder_ / "partial" / id.hex(); }

  const fs::path folder_;
  const std::shared_ptr<BusySet> busy_ = std::make_shared<BusySet>();
  const std::shared_ptr<FreshBlobs> fresh_ = std::make_shared<FreshBlobs>();
  const std::shared_ptr<Shelves> shelves_ = std::make_shared<Shelves>();
  std::optional<RemovedFiles> removed_;  // once its folder is there
};

BlobStore::BlobStore(fs::path folder) : impl_(std::make_unique<Impl>(std::move(folder))) {}
BlobStore::~BlobStore() = default;

bool BlobStore::has(const BlobId& id) const { return fs::is_regular_file(path(id)); }

std::optional<std::uint64_t> BlobStore::size(const BlobId& id) const {
  const std::optional<File> file = File::open_existing(path(id));
  return file ? std::optional(file->size()) : std::nullopt;
}

fs::path BlobStore::path(const BlobId& id) const { return impl_->finished(id); }

Expected<std::unique_ptr<BlobWriter>> BlobStore::open_writer(const BlobId& id, std::uint64_t bytes,
                                                             Keeping keeping) {
  std::optional<Claim> claim = Claim::take(impl_->busy_, id, impl_->partial(id));
  if (!claim) {
    return refuse("blob_busy",
                  fmt::format("blob {} is being written by another transfer", id.short_hex()),
                  "try again when that has ended", Scope::task);
  }
  const fs::path partial = impl_->partial(id);
  File file = File::open(partial, O_RDWR | O_CREAT);
  if (file.size() > bytes) {
    file.truncate(0);
  }
  if (!file.reserve(bytes)) {
    if (file.size() == 0) {
      fs::remove(partial);
    }
    return refuse("disk_full",
                  fmt::format("no room for the {} bytes of blob {} in {}", bytes, id.short_hex(),
                              impl_->folder_.string()),
                  "free some space there and try again", Scope::task);
  }
  return std::make_unique<PacedWriter>(std::move(*claim), impl_->fresh_, impl_->shelves_, id,
                                       std::move(file), partial, impl_->finished(id), bytes,
                                       keeping);
}

BlobId BlobStore::adopt(const fs::path& file) {
  File source = File::open(file, O_RDWR);
  const BlobId id = source.digest();
  ENTENTE_FAILPOINT("blob.sync.before");
  source.sync();
  publish(*impl_->shelves_, file, path(id));
  impl_->fresh_->note(id, source.size(), now());
  return id;
}

void BlobStore::link(const BlobId& id, const fs::path& file) {
  if (vouch_for(id)) {
    return;
  }
  const fs::path shelf = path(id).parent_path();
  impl_->shelves_->make(shelf);
  fs::create_hard_link(file, path(id));
  sync_folder(shelf);
  impl_->fresh_->note(id, fs::file_size(path(id)), now());
}

bool BlobStore::verify(const BlobId& id) const {
  const std::optional<File> file = File::open_existing(path(id));
  if (!file || file->digest() != id) {
    return false;
  }
  impl_->fresh_->note(id, file->size(), now());
  return true;
}

bool BlobStore::is_fresh(const BlobId& id) const {
  return impl_->fresh_->contains(id, now()) && has(id);
}

fs::path BlobStore::quarantine_path(const BlobId& id) const {
  return impl_->folder_ / "quarantine" / id.hex();
}

bool BlobStore::vouch_for(const BlobId& id) {
  if (is_fresh(id) || verify(id)) {
    return true;
  }
  if (has(id)) {
    make_folder(quarantine_path(id).parent_path());
    fs::rename(path(id), quarantine_path(id));
    sync_folder(quarantine_path(id).parent_path());
    sync_folder(path(id).parent_path());
  }
  return false;
}

void BlobStore::remove(const BlobId& id) {
  impl_->fresh_->forget(id);
  impl_->removed_->take(path(id));
  if (const std::optional<Claim> claim = Claim::take(impl_->busy_, id, impl_->partial(id))) {
    fs::remove(impl_->partial(id));
  } else {
    impl_->busy_->call_off(id);
  }
}

std::vector<BlobId> BlobStore::list() const {
  std::vector<BlobId> blobs;
  for (const auto& shelf : fs::directory_iterator(impl_->folder_)) {
    if (!shelf.is_directory() || shelf.path().filename().string().size() != 2) {
      continue;
    }
    for (const auto& entry : fs::directory_iterator(shelf)) {
      const auto id = BlobId::parse(entry.path().filename().string());
      if (id && entry.is_regular_file() && entry.path() == path(*id)) {
        blobs.push_back(*id);
      }
    }
  }
  std::sort(blobs.begin(), blobs.end());
  return blobs;
}

bool BlobStore::has_partial(const BlobId& id) const { return fs::exists(impl_->partial(id)); }

std::vector<std::pair<BlobId, std::uint64_t>> BlobStore::list_partial() const {
  std::vector<std::pair<BlobId, std::uint64_t>> partial;
  for (const auto& entry : fs::directory_iterator(impl_->folder_ / "partial")) {
    if (const auto id = BlobId::parse(entry.path().filename().string())) {
      partial.emplace_back(*id, entry.file_size());
    }
  }
  std::sort(partial.begin(), partial.end());
  return partial;
}

fs::path BlobStore::scratch_path(const std::string& name) const {
  ENTENTE_CHECK(!name.empty() && name != "." && name != ".." &&
                name.find('/') == std::string::npos);
  return impl_->folder_ / "scratch" / name;
}

void write_file_durably(const fs::path& path, std::span<const std::byte> bytes) {
  const fs::path temporary = path.string() + "." + random_hex(8) + ".new";
  try {
    File file = File::open(temporary, O_WRONLY | O_CREAT | O_EXCL);
    file.write_at(0, bytes);
    file.sync();
    fs::rename(temporary, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

}  // namespace entente
