// The buffers through which bytes pass between a TLS session and its unix socket.
//
// A direction takes a buffer when it looks for bytes and gives it back as soon as it holds none, so
// that a thousand idle sessions hold no buffer at all. Not thread-safe: one pool per I/O thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace entente::net {

class BufferPool {
 public:
  explicit BufferPool(std::size_t buffer_bytes) : buffer_bytes_(buffer_bytes) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  struct GiveBack {
    BufferPool* pool;
    void operator()(std::byte* memory) const { pool->take_back(memory); }
  };
  using Buffer = std::unique_ptr<std::byte, GiveBack>;

  [[nodiscard]] Buffer take() {
    if (spare_.empty()) {
      return {new std::byte[buffer_bytes_], GiveBack{this}};
    }
    Buffer buffer(spare_.back().release(), GiveBack{this});
    spare_.pop_back();
    return buffer;
  }

  [[nodiscard]] std::span<std::byte> whole(const Buffer& buffer) const {
    return {buffer.get(), buffer_bytes_};
  }

 private:
  // More buffers than this are in use at once only while many peers are slower than we are.
  static constexpr std::size_t kSpareMax = 8;

  void take_back(std::byte* memory) {
    std::unique_ptr<std::byte[]> owned(memory);
    if (spare_.size() < kSpareMax) {
      spare_.push_back(std::move(owned));
    }
  }

  std::size_t buffer_bytes_;
  std::vector<std::unique_ptr<std::byte[]>> spare_;
};

}  // namespace entente::net
