// Control messages to bytes and back. Everything decoded is validated: enumerations, names, counts
// and text lengths (base/limits.h), so that code behind this line sees only legal values.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "common/base/refusal.h"
#include "common/domain/messages.h"

namespace entente::wire {

using Bytes = std::string;  // owned octets, ready to be moved into a message

[[nodiscard]] Bytes encode(const msg::Control& message);
// Refuses with code "message_invalid" (garbage, an illegal value) or "message_unknown" (a kind that
// this build does not know: a newer peer; the session may go on). Never throws on any input.
[[nodiscard]] Expected<msg::Control> decode_control(std::span<const std::byte> bytes);

[[nodiscard]] Bytes encode(const msg::Data& message);
[[nodiscard]] Expected<msg::Data> decode_data(std::span<const std::byte> bytes);

}  // namespace entente::wire
