// ZMTP 3.1 written by hand (rfc.zeromq.org/spec/37), to say what libzmq never would.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace entente::net::zmtp {

inline std::string greeting() {
  std::string bytes(64, '\0');
  bytes[0] = '\xff';
  bytes[8] = '\x01';
  bytes[9] = '\x7f';
  bytes[10] = '\x03';
  bytes[11] = '\x01';
  bytes.replace(12, 4, "NULL");
  return bytes;
}

inline std::string framed(std::uint8_t flags, std::string_view body) {
  constexpr std::uint8_t kLong = 2;
  std::string bytes;
  if (body.size() < 256) {
    bytes = {static_cast<char>(flags), static_cast<char>(body.size())};
  } else {
    bytes = {static_cast<char>(flags | kLong)};
    for (int shift = 56; shift >= 0; shift -= 8) {
      bytes += static_cast<char>(body.size() >> shift);
    }
  }
  return bytes.append(body);
}

inline std::string frame(std::string_view body, bool more) { return framed(more ? 1 : 0, body); }
inline std::string command(std::string_view body) { return framed(4, body); }

inline std::string ready() {
  using namespace std::string_view_literals;
  return command(
      "\x05READY\x0bSocket-Type\0\0\0\x06"
      "DEALER"sv);
}

inline std::string ping() {
  using namespace std::string_view_literals;
  return command("\x04PING\0\x64"sv);
}

}  // namespace entente::net::zmtp
