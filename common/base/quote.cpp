#include "common/base/quote.h"

#include <fmt/format.h>

#include <iterator>

namespace entente {
namespace {

constexpr std::size_t kShownBytesMax = 80;

}  // namespace

std::string quote(std::string_view text) {
  std::string shown = "\"";
  for (const char c : text.substr(0, kShownBytesMax)) {
    if (c == '"' || c == '\\') {
      shown += '\\';
      shown += c;
    } else if (c >= ' ' && c <= '~') {
      shown += c;
    } else {
      fmt::format_to(std::back_inserter(shown), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  shown += text.size() > kShownBytesMax ? "...\"" : "\"";
  return shown;
}

}  // namespace entente
