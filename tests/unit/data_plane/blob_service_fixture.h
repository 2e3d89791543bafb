// A blob service with one session, "site/north", and what it sends and reports; no socket anywhere.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/data_plane/blob_service.h"
#include "common/crypto/digest.h"
#include "tests/support/temp_folder.h"

namespace entente::broker {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = limits::kChunkBytesMax;
constexpr std::size_t kFirstChunk = limits::kChunkBytesMin;  // of a get
constexpr std::size_t kWindow = limits::kCreditChunks;
inline constexpr char kNorth[] = "site/north";

struct Sent {
  SessionId session = 0;
  msg::Data message;
  std::string payload;
};

class BlobServiceTest : public testing::Test {
 protected:
  BlobServiceTest() { greet(1, kNorth); }

  std::unique_ptr<BlobService> make_service() {
    return std::make_unique<BlobService>(
        store_, inbox_, grants_, msg::Welcome{1, 0, "hub", "0.1", {}},
        BlobService::Outputs{
            [this](SessionId session, const msg::Data& message,
                   std::optional<zmq::message_t> payload) {
              if (queues_are_full_) {
                return false;
              }
              sent_.push_back({session, message, payload ? payload->to_string() : ""});
              return true;
            },
            [this](SessionId session, const std::string&) { closed_.push_back(session); },
            [this](BlobArrived arrived) { arrived_.push_back(std::move(arrived)); },
            [this](BlobMoved moved) { moved_.push_back(std::move(moved)); }});
  }

  void greet(SessionId session, const std::string& peer) {
    service_->open(session, peer);
    tell(session, msg::Hello{});
    ASSERT_EQ(next<msg::Welcome>().session, session);
  }

  void tell(SessionId session, const msg::Data& message) {
    service_->receive(session, message, std::nullopt, now_);
  }
  void chunk(SessionId session, const BlobId& blob, std::uint64_t offset, std::string_view bytes) {
    service_->receive(session, msg::BlobChunk{blob, offset},
                      zmq::message_t(bytes.data(), bytes.size()), now_);
  }

  // The oldest message that was sent and not looked at yet.
  template <class Message>
  Message next() {
    EXPECT_FALSE(sent_.empty());
    if (sent_.empty()) {
      return {};
    }
    const auto* message = std::get_if<Message>(&sent_.front().message);
    EXPECT_NE(message, nullptr) << "message kind " << sent_.front().message.index();
    const Message result = message ? *message : Message{};
    sent_.pop_front();
    return result;
  }
  std::string refusal() { return next<msg::BlobRefused>().reason.code; }

  BlobId allow_put(std::string_view bytes, const std::string& peer = kNorth) {
    const BlobId blob = sha256(bytes);
    grants_.add(PutGrant{peer, blob, bytes.size(), nullptr, 0});
    return blob;
  }

  // Sends all that is missing, as a correct peer would. Leaves the final answer in the queue.
  void upload(SessionId session, const BlobId& blob, std::string_view bytes) {
    tell(session, msg::BlobPut{blob, bytes.size()});
    send_rest(session, blob, bytes, next<msg::BlobReady>().offset);
  }
  void send_rest(SessionId session, const BlobId& blob, std::string_view bytes,
                 std::uint64_t offset, std::size_t chunk_bytes = kChunk) {
    while (offset < bytes.size()) {
      const std::string_view piece = bytes.substr(offset, chunk_bytes);
      chunk(session, blob, offset, piece);
      offset += piece.size();
      if (offset < bytes.size()) {
        EXPECT_EQ(next<msg::BlobCredit>().chunks, 1U);
      }
    }
  }

  // Serves a whole blob to session 1 over a fast line; returns the sizes of its chunks.
  std::vector<std::size_t> get_all(const BlobId& blob) {
    std::vector<std::size_t> sizes;
    tell(1, msg::BlobGet{blob, 0, kWindow});
    std::uint64_t left = next<msg::BlobSize>().bytes;
    while (left > 0 && !testing::Test::HasFailure()) {
      service_->serve_gets(now_);
      sizes.push_back(sent_.front().payload.size());
      left -= sizes.back();
      next<msg::BlobChunk>();
      tell(1, msg::BlobCredit{blob, 1});
    }
    return sizes;
  }

  BlobId stored(std::string_view bytes) {
    const fs::path file = store_.scratch_path("blob");
    std::ofstream(file, std::ios::binary) << bytes;
    return store_.adopt(file);
  }

  const integration::TempFolder temp_;  // outlives the store, which removes blobs on a thread
  const fs::path folder_ = temp_.path();
  BlobStore store_{folder_};
  FileInbox inbox_{folder_ / "brought"};
  GrantBook grants_;
  Monotonic now_{};
  bool queues_are_full_ = false;
  std::deque<Sent> sent_;
  std::vector<SessionId> closed_;
  std::vector<BlobArrived> arrived_;
  std::vector<BlobMoved> moved_;
  std::unique_ptr<BlobService> service_ = make_service();
};

}  // namespace entente::broker
