// The log: one line per event worth an operator's attention, on standard error.
//
// Text by default, one JSON object per line with `--log-format json`. An event has a stable name, a
// sentence, and fields. Never log data, tensors, keys, or text from a peer that was not checked.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace entente::log {

enum class Level : std::uint8_t { debug, info, warning, error };
enum class Format : std::uint8_t { text, json };

using Field = std::pair<std::string_view, std::string>;
using Fields = std::initializer_list<Field>;

// Call once from main, before any thread starts. Until then events of level warning and above go
// out as text.
void start(Format format, Level lowest, std::string_view program);

// Any thread. `event` is snake_case and stable; control characters in the rest are escaped.
void write(Level level, std::string_view event, std::string_view sentence, Fields fields = {});

inline void info(std::string_view event, std::string_view sentence, Fields fields = {}) {
  write(Level::info, event, sentence, fields);
}
inline void warning(std::string_view event, std::string_view sentence, Fields fields = {}) {
  write(Level::warning, event, sentence, fields);
}
inline void error(std::string_view event, std::string_view sentence, Fields fields = {}) {
  write(Level::error, event, sentence, fields);
}
inline void debug(std::string_view event, std::string_view sentence, Fields fields = {}) {
  write(Level::debug, event, sentence, fields);
}

}  // namespace entente::log
