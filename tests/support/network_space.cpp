#include "tests/support/network_space.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

namespace entente::integration {
namespace {

constexpr const char* kOwnSpace = "/proc/thread-self/ns/net";

int check(int result, const char* what) {
  if (result < 0) {
    throw std::system_error(errno, std::generic_category(), what);
  }
  return result;
}

Handle open_file(const char* path, int flags) {
  return Handle(check(::open(path, flags | O_CLOEXEC), path));
}

ifreq request_for(const std::string& device) {
  ifreq request{};
  std::copy(device.begin(), device.end(), request.ifr_name);
  return request;
}

// netdevice(7): `set` is one of SIOCSIFADDR and its like.
void set_address(int socket, const std::string& device, unsigned long set,
                 const std::string& address) {
  ifreq request = request_for(device);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  ::inet_pton(AF_INET, address.c_str(), &in.sin_addr);
  std::memcpy(&request.ifr_addr, &in, sizeof(in));
  check(::ioctl(socket, set, &request), "device address");
}

void bring_up(int socket, const std::string& device) {
  ifreq request = request_for(device);
  check(::ioctl(socket, SIOCGIFFLAGS, &request), "device flags");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  check(::ioctl(socket, SIOCSIFFLAGS, &request), "device up");
}

Handle any_socket() {
  return Handle(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
}

}  // namespace

Handle::~Handle() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Handle::Handle(Handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

NetworkSpace::NetworkSpace() {
  // On a thread of its own, so that this one never leaves its namespace.
  std::exception_ptr failure;
  std::thread([&] {
    try {
      check(::unshare(CLONE_NEWNET), "a network namespace");
      space_ = open_file(kOwnSpace, O_RDONLY);
      bring_up(any_socket().fd(), "lo");
      // These files are the namespace's own: no packets but the test's, and the congestion control
      // that most machines have, whatever this one prefers.
      std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << 1;
      std::ofstream("/proc/sys/net/ipv4/tcp_congestion_control") << "cubic";
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) {
    std::rethrow_exception(failure);
  }
}

NetworkSpace::Inside::Inside(const NetworkSpace* space) {
  if (space != nullptr) {
    before_ = open_file(kOwnSpace, O_RDONLY);
    check(::setns(space->space_.fd(), CLONE_NEWNET), "entering a network namespace");
  }
}

// A thread that cannot go back would start everything else in the wrong place.
NetworkSpace::Inside::~Inside() {
  if (before_.fd() >= 0 && ::setns(before_.fd(), CLONE_NEWNET) != 0) {
    std::terminate();
  }
}

Handle NetworkSpace::open_tun(const std::string& address, const std::string& peer) const {
  const std::string device = "line";
  const Inside inside(this);
  Handle tun = open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request = request_for(device);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  check(::ioctl(tun.fd(), TUNSETIFF, &request), "a TUN device");
  const Handle socket = any_socket();
  set_address(socket.fd(), device, SIOCSIFADDR, address);
  set_address(socket.fd(), device, SIOCSIFDSTADDR, peer);
  bring_up(socket.fd(), device);
  return tun;
}

}  // namespace entente::integration
