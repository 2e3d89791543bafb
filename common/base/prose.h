// Text from outside that goes on to people: safe for a terminal, a log line and JSON.
#pragma once

#include <string>
#include <string_view>

namespace entente {

// UTF-8 without control characters.
[[nodiscard]] bool is_plain_text(std::string_view text);

// At most limits::kPeerTextBytesMax bytes (cut between characters); control characters other than
// newline and tab and whatever is not UTF-8 are replaced by '?'. Senders cut their own texts with
// it too, so that a long one, a trainer's last words say, can't make a message too large to be
// sent.
[[nodiscard]] std::string prose(std::string_view text);

}  // namespace entente
