// What this machine could do at most: the raw primitives that our own figures are held against.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "common/crypto/digest.h"
#include "common/crypto/openssl_ptr.h"
#include "tests/bench/parts/scene.h"

namespace entente::bench {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::size_t kStreamBytes = 256 << 20;
constexpr std::size_t kMemoryBytes = 512 << 20;
constexpr std::chrono::seconds kFreeFor{5};
constexpr int kFreshTimes = 4;

void check(bool holds, const char* what) {
  if (!holds) {
    throw std::system_error(errno, std::generic_category(), what);
  }
}

// Two ends of a TCP connection over loopback.
class TcpPair {
 public:
  TcpPair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    check(::bind(listener, raw, size) == 0 && ::listen(listener, 1) == 0, "listen");
    check(::getsockname(listener, raw, &size) == 0, "getsockname");
    sender_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(::connect(sender_, raw, size) == 0, "connect");
    receiver_ = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    check(receiver_ >= 0, "accept");
    ::close(listener);
  }
  ~TcpPair() {
    ::close(sender_);
    ::close(receiver_);
  }
  TcpPair(const TcpPair&) = delete;
  TcpPair& operator=(const TcpPair&) = delete;

  [[nodiscard]] int sender() const { return sender_; }
  [[nodiscard]] int receiver() const { return receiver_; }

 private:
  int sender_ = -1;
  int receiver_ = -1;
};

// One thread sends kStreamBytes through `send`, this one takes them through `receive`.
template <class Send, class Receive>
void stream(Send send, Receive receive) {
  std::thread sender([&] {
    const std::vector<std::byte> piece(kPieceBytes);
    for (std::size_t sent = 0; sent < kStreamBytes; sent += piece.size()) {
      for (std::size_t done = 0; done < piece.size();) {
        done += send(piece.data() + done, piece.size() - done);
      }
    }
  });
  std::vector<std::byte> buffer(kPieceBytes);
  for (std::size_t got = 0; got < kStreamBytes;) {
    got += receive(buffer.data(), buffer.size());
  }
  sender.join();
}

void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) *
                          static_cast<std::int64_t>(state.iterations()));
}

void tcp_stream(benchmark::State& state) {
  const TcpPair tcp;
  for (auto _ : state) {
    stream(
        [&](const std::byte* from, std::size_t bytes) {
          return static_cast<std::size_t>(::send(tcp.sender(), from, bytes, 0));
        },
        [&](std::byte* into, std::size_t bytes) {
          return static_cast<std::size_t>(::recv(tcp.receiver(), into, bytes, 0));
        });
  }
  count_bytes(state, kStreamBytes);
}
BENCHMARK(tcp_stream)->Name("machine/tcp_stream")->MeasureProcessCPUTime()->UseRealTime();

void tls_stream(benchmark::State& state) {
  const Members members;
  const TcpPair tcp;
  const auto server = TlsContext::server(members.broker()).value();
  const auto client = TlsContext::client(members.site(), Plane::data).value();
  const SslPtr sender(SSL_new(client.handle()));
  const SslPtr receiver(SSL_new(server.handle()));
  SSL_set_fd(sender.get(), tcp.sender());
  SSL_set_fd(receiver.get(), tcp.receiver());
  (void)verify_host(sender.get(), "localhost");
  std::thread accepting([&] { check(SSL_accept(receiver.get()) == 1, "SSL_accept"); });
  check(SSL_connect(sender.get()) == 1, "SSL_connect");
  accepting.join();
  for (auto _ : state) {
    stream(
        [&](const std::byte* from, std::size_t bytes) {
          std::size_t sent = 0;
          check(SSL_write_ex(sender.get(), from, bytes, &sent) == 1, "SSL_write");
          return sent;
        },
        [&](std::byte* into, std::size_t bytes) {
          std::size_t got = 0;
          check(SSL_read_ex(receiver.get(), into, bytes, &got) == 1, "SSL_read");
          return got;
        });
  }
  count_bytes(state, kStreamBytes);
}
BENCHMARK(tls_stream)->Name("machine/tls_stream")->MeasureProcessCPUTime()->UseRealTime();

// What ZMTP behind our own TLS adds: the same bytes once into libzmq and once out of it.
void zmq_unix_stream(benchmark::State& state) {
  zmq::context_t context;
  zmq::socket_t receiver(context, zmq::socket_type::dealer);
  zmq::socket_t sender(context, zmq::socket_type::dealer);
  receiver.bind("ipc://*");
  sender.connect(receiver.get(zmq::sockopt::last_endpoint));
  for (auto _ : state) {
    stream(
        [&](const std::byte* from, std::size_t bytes) {
          return sender.send(zmq::message_t(from, bytes), zmq::send_flags::none).value();
        },
        [&](std::byte*, std::size_t) {
          zmq::message_t message;
          return receiver.recv(message).value();
        });
  }
  count_bytes(state, kStreamBytes);
}
BENCHMARK(zmq_unix_stream)->Name("machine/zmq_unix_stream")->MeasureProcessCPUTime()->UseRealTime();

void digest(benchmark::State& state) {
  const std::vector<std::byte> piece(kPieceBytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(sha256(piece));
  }
  count_bytes(state, piece.size());
}
BENCHMARK(digest)->Name("machine/sha256")->MeasureProcessCPUTime()->UseRealTime();

void durable_write(benchmark::State& state) {
  const Folder folder;
  const std::vector<std::byte> piece(kPieceBytes);
  for (auto _ : state) {
    const auto path = folder.path() / "file";
    const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    for (std::size_t done = 0; done < kStreamBytes; done += piece.size()) {
      check(::write(file, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()),
            "write");
      // Paced, as bulk writes are everywhere here.
      ::sync_file_range(file, static_cast<off64_t>(done), kPieceBytes, SYNC_FILE_RANGE_WRITE);
    }
    check(::fdatasync(file) == 0, "fdatasync");
    ::close(file);
  }
  count_bytes(state, kStreamBytes);
}
BENCHMARK(durable_write)->Name("machine/durable_write")->MeasureProcessCPUTime()->UseRealTime();

void write_stream(const std::filesystem::path& path) {
  const std::vector<std::byte> piece(kPieceBytes);
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  for (std::size_t done = 0; done < kStreamBytes; done += piece.size()) {
    check(::write(file, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()), "write");
  }
  ::close(file);
}

void page_cache_write(benchmark::State& state) {
  const Folder folder;
  for (auto _ : state) {
    write_stream(folder.path() / "file");
  }
  count_bytes(state, kStreamBytes);
}
BENCHMARK(page_cache_write)
    ->Name("machine/page_cache_write")
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// The same into memory that was free for a while: a virtual machine may have given it back to its
// host meanwhile, and then gets each page anew.
void fresh_page_write(benchmark::State& state) {
  const Folder folder;
  const auto path = folder.path() / "file";
  for (auto _ : state) {
    state.PauseTiming();
    std::filesystem::remove(path);
    std::this_thread::sleep_for(kFreeFor);
    state.ResumeTiming();
    write_stream(path);
  }
  count_bytes(state, kStreamBytes);
}
BENCHMARK(fresh_page_write)
    ->Name("machine/fresh_page_write")
    ->Iterations(kFreshTimes)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// A small commit's cost: one page written in place and synced.
void small_sync(benchmark::State& state) {
  const Folder folder;
  const std::vector<std::byte> page(4096);
  const auto path = folder.path() / "file";
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  for (auto _ : state) {
    check(::pwrite(file, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size()),
          "write");
    check(::fdatasync(file) == 0, "fdatasync");
  }
  ::close(file);
}
BENCHMARK(small_sync)->Name("machine/small_sync")->MeasureProcessCPUTime()->UseRealTime();

void memory_read(benchmark::State& state) {
  static const std::vector<std::uint64_t> memory(kMemoryBytes / sizeof(std::uint64_t), 1);
  const auto share = memory.size() / static_cast<std::size_t>(state.threads());
  const auto begin = memory.begin() + static_cast<std::ptrdiff_t>(
                                          share * static_cast<std::size_t>(state.thread_index()));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(share), std::uint64_t{0}));
  }
  count_bytes(state, share * sizeof(std::uint64_t));
}
BENCHMARK(memory_read)->Name("machine/memory_read")->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace entente::bench
