// The version of this software, for people and for the protocol's Hello.
#pragma once

namespace entente {

constexpr const char* kVersion = "0.1.0";

}  // namespace entente
