// What an operator decides when a certificate is issued: for whom, reachable where, for how long.
#pragma once

#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/crypto/certificate.h"
#include "common/domain/identity.h"

namespace entente::pki {

constexpr int kRootDays = 3650;
constexpr int kLeafDays = 90;
constexpr int kCrlDays = 30;
constexpr UnixMillis kDayMs = 86'400'000;

// A member's clock may be behind the operator's by this much.
constexpr UnixMillis kClockSkewMs = 300'000;

[[nodiscard]] constexpr Validity valid_for(UnixMillis now, int days) {
  return {.not_before = now - kClockSkewMs, .not_after = now + days * kDayMs};
}

// Where a broker can be reached; empty for every other role.
struct Hosts {
  std::vector<std::string> dns;
  std::vector<std::string> ips;
};

struct Member {
  Role role = Role::site;
  std::string name;
  Hosts hosts;
};

}  // namespace entente::pki
