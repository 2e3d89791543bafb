// Text from outside, made safe to show: in a log line, on a terminal, in an error message.
#pragma once

#include <string>
#include <string_view>

namespace entente {

// `text` in double quotes. Everything but printable ASCII becomes \xNN, so that nothing can move a
// cursor or reverse a line; a text of more than 80 bytes is cut and ends in `..."`.
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace entente
