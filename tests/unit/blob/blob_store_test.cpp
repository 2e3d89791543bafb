#include "common/blob/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <system_error>

#include "common/blob/blob_reader.h"
#include "common/blob/file.h"
#include "common/crypto/digest.h"
#include "common/crypto/random.h"

namespace entente {
namespace {

namespace fs = std::filesystem;

std::string some_bytes(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string bytes(count, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
  return bytes;
}

std::span<const std::byte> view(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary) << text;
}

class BlobStoreTest : public testing::Test {
 protected:
  BlobStoreTest() : folder_(fs::temp_directory_path() / ("entente-blob-" + random_hex(8))) {}
  ~BlobStoreTest() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path partial(const BlobId& id) const { return folder_ / "partial" / id.hex(); }

  // Writes `bytes` in pieces of odd sizes and finishes.
  static Expected<void> write_all(BlobStore& store, const BlobId& id, std::string_view bytes) {
    auto writer = store.open_writer(id, bytes.size());
    if (!writer) {
      return tl::unexpected(writer.error());
    }
    while ((*writer)->offset() < bytes.size()) {
      (*writer)->append(view(bytes.substr((*writer)->offset(), 300'007)));
    }
    return (*writer)->finish();
  }

  fs::path folder_;
};

TEST_F(BlobStoreTest, KeepsABlobUnderItsDigest) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(3'500'000);
  const BlobId id = sha256(bytes);
  EXPECT_FALSE(store.has(id));
  EXPECT_EQ(store.size(id), std::nullopt);
  ASSERT_TRUE(write_all(store, id, bytes));
  EXPECT_TRUE(store.has(id));
  EXPECT_EQ(store.size(id), bytes.size());
  EXPECT_EQ(store.path(id), folder_ / id.hex().substr(0, 2) / id.hex());
  EXPECT_EQ(content(store.path(id)), bytes);
  EXPECT_TRUE(store.verify(id));
  EXPECT_FALSE(fs::exists(partial(id)));
}

TEST_F(BlobStoreTest, KeepsAnEmptyBlob) {
  BlobStore store(folder_);
  const BlobId id = sha256(std::string_view());
  ASSERT_TRUE(write_all(store, id, ""));
  EXPECT_EQ(store.size(id), 0U);
}

TEST_F(BlobStoreTest, AReservationDoesNotMoveTheResumePoint) {
  BlobStore store(folder_);
  const BlobId id = sha256("whatever");
  ASSERT_TRUE(store.open_writer(id, 5'000'000));
  EXPECT_EQ(fs::file_size(partial(id)), 0U);
  EXPECT_EQ((*store.open_writer(id, 5'000'000))->offset(), 0U);
}

TEST_F(BlobStoreTest, ResumesWhereTheLastWriterStopped) {
  const std::string bytes = some_bytes(2'000'000);
  const BlobId id = sha256(bytes);
  {
    BlobStore store(folder_);
    auto writer = store.open_writer(id, bytes.size());
    (*writer)->append(view(bytes).first(1'234'567));
  }
  BlobStore store(folder_);  // as after a restart
  {
    auto writer = store.open_writer(id, bytes.size());
    ASSERT_TRUE(writer);
    EXPECT_EQ((*writer)->offset(), 1'234'567U);
    EXPECT_EQ((*writer)->size(), bytes.size());
  }
  ASSERT_TRUE(write_all(store, id, bytes));
  EXPECT_EQ(content(store.path(id)), bytes);
}

TEST_F(BlobStoreTest, ACrashAtAnyLengthIsResumed) {
  const std::string bytes = some_bytes(1'100'000);
  const BlobId id = sha256(bytes);
  for (const std::size_t length : {0UL, 1UL, 4095UL, 4096UL, 1UL << 20, 1'099'999UL, 1'100'000UL}) {
    BlobStore store(folder_);
    write(partial(id), std::string_view(bytes).substr(0, length));
    {
      auto writer = store.open_writer(id, bytes.size());
      ASSERT_TRUE(writer);
      EXPECT_EQ((*writer)->offset(), length);
    }
    ASSERT_TRUE(write_all(store, id, bytes)) << length;
    EXPECT_TRUE(store.verify(id));
    store.remove(id);
  }
}

TEST_F(BlobStoreTest, APartialBlobLongerThanTheBlobIsStartedOver) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(1000);
  const BlobId id = sha256(bytes);
  write(partial(id), some_bytes(1001));
  EXPECT_EQ((*store.open_writer(id, bytes.size()))->offset(), 0U);
  EXPECT_TRUE(write_all(store, id, bytes));
}

TEST_F(BlobStoreTest, AnotherDigestIsRefusedAndItsBytesDiscarded) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(10'000);
  const BlobId id = sha256(bytes);
  const Expected<void> wrong = write_all(store, id, some_bytes(10'000, 2));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, "blob_corrupt");
  EXPECT_FALSE(store.has(id));
  EXPECT_EQ((*store.open_writer(id, bytes.size()))->offset(), 0U);
  EXPECT_TRUE(write_all(store, id, bytes));
}

TEST_F(BlobStoreTest, DamageInAResumedPartIsNoticed) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(10'000);
  const BlobId id = sha256(bytes);
  write(partial(id), some_bytes(5'000, 2));
  const Expected<void> resumed = write_all(store, id, bytes);
  ASSERT_FALSE(resumed);
  EXPECT_EQ(resumed.error().code, "blob_corrupt");
}

TEST_F(BlobStoreTest, ABlobHasOneWriterAtATime) {
  BlobStore store(folder_);
  const BlobId id = sha256("one");
  {
    const auto first = store.open_writer(id, 3);
    ASSERT_TRUE(first);
    const auto second = store.open_writer(id, 3);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, "blob_busy");
    EXPECT_TRUE(store.open_writer(sha256("two"), 3));
  }
  EXPECT_TRUE(store.open_writer(id, 3));
}

TEST_F(BlobStoreTest, ABlobThatCannotFitIsRefusedAtTheStart) {
  BlobStore store(folder_);
  const BlobId id = sha256("vast");
  const auto writer = store.open_writer(id, std::uint64_t{1} << 60);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, "disk_full");
  EXPECT_FALSE(fs::exists(partial(id)));
  EXPECT_TRUE(store.open_writer(id, 10)) << "the refused writer must not stay busy";
}

TEST_F(BlobStoreTest, AFailedWriteThrowsAndKeepsWhatWasWritten) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(100'000);
  const BlobId id = sha256(bytes);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  {
    auto writer = store.open_writer(id, bytes.size());
    ASSERT_TRUE(writer);
    const rlimit small{40'000, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_THROW((*writer)->append(view(bytes)), std::system_error);
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ((*store.open_writer(id, bytes.size()))->offset(), 40'000U);
  EXPECT_TRUE(write_all(store, id, bytes));
}

TEST_F(BlobStoreTest, AdoptsAFinishedFile) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(2'000'001);
  const fs::path file = store.scratch_path("round-3");
  write(file, bytes);
  const BlobId id = store.adopt(file);
  EXPECT_EQ(id, sha256(bytes));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(content(store.path(id)), bytes);
}

TEST_F(BlobStoreTest, ScratchIsEmptiedAtTheStartAndPartialBlobsAreNot) {
  const BlobId id = sha256("late");
  {
    BlobStore store(folder_);
    write(store.scratch_path("left-over"), "x");
    write(partial(id), "la");
  }
  BlobStore store(folder_);
  EXPECT_FALSE(fs::exists(store.scratch_path("left-over")));
  EXPECT_TRUE(fs::exists(partial(id)));
}

TEST_F(BlobStoreTest, ListsFinishedBlobsOnly) {
  BlobStore store(folder_);
  std::vector<BlobId> expected;
  for (const char* text : {"a", "b", "c"}) {
    expected.push_back(sha256(text));
    ASSERT_TRUE(write_all(store, expected.back(), text));
  }
  std::sort(expected.begin(), expected.end());
  write(partial(sha256("d")), "");
  write(folder_ / expected[0].hex().substr(0, 2) / "stray", "x");
  EXPECT_EQ(store.list(), expected);
  store.remove(expected[1]);
  store.remove(expected[1]);
  EXPECT_THAT(store.list(), testing::ElementsAre(expected[0], expected[2]));
}

TEST_F(BlobStoreTest, WhatIsRemovedWhileItIsWrittenLeavesNothingToGoOnFrom) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes(5000);
  const BlobId id = sha256(bytes);
  auto writer = store.open_writer(id, bytes.size());
  ASSERT_TRUE(writer);
  (*writer)->append(view(std::string_view(bytes).substr(0, 1000)));
  store.remove(id);
  writer->reset();
  EXPECT_FALSE(store.has_partial(id));
  ASSERT_TRUE(write_all(store, id, bytes)) << "it may be written anew";
}

TEST_F(BlobStoreTest, ALinkIsABlobOfBothStoresAndOutlivesEither) {
  BlobStore other(folder_ / "other");
  BlobStore store(folder_ / "own");
  const BlobId id = sha256("12345");
  ASSERT_TRUE(write_all(other, id, "12345"));
  store.link(id, other.path(id));
  store.link(id, other.path(id));
  other.remove(id);
  EXPECT_TRUE(store.verify(id));
}

TEST_F(BlobStoreTest, AFlippedBitFailsVerification) {
  BlobStore store(folder_);
  std::string bytes = some_bytes(5000);
  const BlobId id = sha256(bytes);
  EXPECT_FALSE(store.verify(id));
  ASSERT_TRUE(write_all(store, id, bytes));
  bytes[2500] = static_cast<char>(bytes[2500] ^ 1);
  write(store.path(id), bytes);
  EXPECT_FALSE(store.verify(id));
}

TEST_F(BlobStoreTest, ADamagedBlobIsPutAsideBeforeItIsUsed) {
  BlobStore store(folder_);
  const BlobId id = sha256("12345");
  EXPECT_FALSE(store.vouch_for(id));
  ASSERT_TRUE(write_all(store, id, "12345"));
  EXPECT_TRUE(store.vouch_for(id));
  write(store.path(id), "12945");
  EXPECT_FALSE(store.vouch_for(id));
  EXPECT_FALSE(store.has(id));
  EXPECT_TRUE(store.list().empty());
  EXPECT_TRUE(fs::exists(store.quarantine_path(id)));
  ASSERT_TRUE(write_all(store, id, "12345"));
  EXPECT_TRUE(store.vouch_for(id)) << "its name is free for good bytes";
}

TEST_F(BlobStoreTest, BlobsBelongToTheirOwnerAlone) {
  BlobStore store(folder_);
  const BlobId id = sha256("private");
  ASSERT_TRUE(write_all(store, id, "private"));
  EXPECT_EQ(fs::status(store.path(id)).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(BlobStoreTest, AReaderOutlivesTheRemovalOfItsBlob) {
  BlobStore store(folder_);
  const std::string bytes = some_bytes((1 << 20) + 10);
  const BlobId id = sha256(bytes);
  EXPECT_EQ(BlobReader::open(store, id).error().code, "blob_missing");
  ASSERT_TRUE(write_all(store, id, bytes));
  const auto reader = BlobReader::open(store, id);
  ASSERT_TRUE(reader);
  store.remove(id);
  EXPECT_EQ(reader->chunk_at(0, 1 << 20).to_string_view(),
            std::string_view(bytes).substr(0, 1 << 20));
  EXPECT_EQ(reader->chunk_at(1 << 20, 1 << 20).to_string_view(),
            std::string_view(bytes).substr(1 << 20));
}

TEST_F(BlobStoreTest, ARemovedBlobIsGoneFromTheDiskWhenItsStoreIs) {
  {
    BlobStore store(folder_);
    for (const std::string bytes : {"one", "two", "three"}) {
      ASSERT_TRUE(write_all(store, sha256(bytes), bytes));
      store.remove(sha256(bytes));
      EXPECT_FALSE(store.has(sha256(bytes)));
      ASSERT_TRUE(write_all(store, sha256(bytes), bytes)) << "its name is free";
      store.remove(sha256(bytes));
    }
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "scratch"));
}

TEST_F(BlobStoreTest, AFolderIsMadeWithThoseAboveItForItsOwnerAlone) {
  for (const auto* written : {"a/b/c", "a/b/d/", "a/./e/../e", "a/b/c"}) {
    make_folder(folder_ / written);
    EXPECT_EQ(fs::status(folder_ / written).permissions(), fs::perms::owner_all) << written;
  }
  write(folder_ / "file", "");
  EXPECT_THROW(make_folder(folder_ / "file"), std::system_error);
  EXPECT_THROW(make_folder(folder_ / "file/below"), std::system_error);
}

TEST_F(BlobStoreTest, ADurableFileIsReplacedWhole) {
  fs::create_directories(folder_);
  const fs::path file = folder_ / "state";
  write_file_durably(file, view("first"));
  write_file_durably(file, view("second, longer"));
  EXPECT_EQ(content(file), "second, longer");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
  EXPECT_THROW(write_file_durably(folder_ / "none" / "state", view("x")), std::system_error);
}

}  // namespace
}  // namespace entente
