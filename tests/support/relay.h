// A stretch of network between an agent and its broker that can stop carrying bytes upwards, which
// a test needs to be in the middle of an upload for as long as it likes, or break.
//
// Bytes pass unread. Once a connection has carried more than `stall_after` bytes up, everything
// further up waits until `resume`. Owns its threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace entente::integration {

class Relay {
 public:
  explicit Relay(std::uint16_t broker_port);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // "127.0.0.1:port"
  [[nodiscard]] std::string address() const;

  void stall_after(std::uint64_t bytes);
  [[nodiscard]] bool is_stalling() const;
  void resume();
  // Breaks every connection, in the middle of whatever it carries.
  void cut();
  // Bytes that went up, for each connection in the order of their beginnings.
  [[nodiscard]] std::vector<std::uint64_t> bytes_up() const;
  [[nodiscard]] std::vector<std::uint64_t> bytes_down() const;

 private:
  struct Connection {
    int agent = -1;
    int broker = -1;
    std::uint64_t bytes_up = 0;    // under mutex_
    std::uint64_t bytes_down = 0;  // under mutex_
    std::atomic<int> ends_open = 2;
    std::thread up;
    std::thread down;
  };

  void accept_all();
  void bury_the_ended();
  static void close(Connection& connection);
  void carry_up(Connection& connection);
  void carry_down(Connection& connection);

  std::uint16_t broker_port_;
  int listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t limit_;
  bool closing_ = false;
  int waiting_ = 0;
  std::list<Connection> connections_;  // under mutex_ while it grows
  std::thread accepting_;
};

}  // namespace entente::integration
