#include "common/runtime/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <memory>

namespace entente::log {
namespace {

// Bytes of the well-formed UTF-8 sequence that `text` starts with (Unicode 15, table 3-7); 0 when
// there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto between = [](unsigned value, unsigned low, unsigned high) {
    return value >= low && value <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  const unsigned second_min = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned second_max = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  const std::size_t length = between(first, 0xc2, 0xdf)   ? 2
                             : between(first, 0xe0, 0xef) ? 3
                             : between(first, 0xf0, 0xf4) ? 4
                                                          : 0;
  if (length == 0 || !between(byte(1), second_min, second_max)) {
    return 0;
  }
  for (std::size_t i = 2; i < length; ++i) {
    if (!between(byte(i), 0x80, 0xbf)) {
      return 0;
    }
  }
  return length;
}

// C0, DEL, and C1 as UTF-8: what a terminal may obey instead of show.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  return character.size() == 1 ? first < 0x20 || first == 0x7f
                               : first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

// Appends `text` so that it stays on one line, is valid UTF-8 and can stand between quotes. Both
// formats know \n, \t, \" and \\; a byte that may not stand there is \xNN in text, \u00NN in JSON.
void append_escaped(std::string& out, std::string_view text, Format format) {
  const std::string_view other = format == Format::json ? "\\u00{:02x}" : "\\x{:02x}";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(character.size());
    if (character == "\n") {
      out += "\\n";
    } else if (character == "\t") {
      out += "\\t";
    } else if (character == "\"" || character == "\\") {
      out.append("\\").append(character);
    } else if (length == 0 || is_control(character)) {
      for (const char byte : character) {
        out += fmt::format(fmt::runtime(other), static_cast<unsigned char>(byte));
      }
    } else {
      out += character;
    }
  }
}

std::string quoted(std::string_view text, Format format) {
  std::string out = "\"";
  append_escaped(out, text, format);
  return out + '"';
}

bool needs_quotes(std::string_view value) {
  return value.empty() || value.find_first_of(" =\"\\") != std::string_view::npos;
}

std::string text_line(std::string_view event, std::string_view sentence, Fields fields) {
  std::string line;
  append_escaped(line, event, Format::text);
  line += "  ";
  // A sentence reads better with its quotes bare; it is not between quotes here.
  for (std::string_view rest = sentence; !rest.empty();) {
    const auto part = rest.substr(0, rest.find('"'));
    append_escaped(line, part, Format::text);
    rest.remove_prefix(part.size());
    if (!rest.empty()) {
      line += '"';
      rest.remove_prefix(1);
    }
  }
  const char* separator = "  ";
  for (const auto& [key, value] : fields) {
    line += separator;
    append_escaped(line, key, Format::text);
    line += '=';
    if (needs_quotes(value)) {
      line += quoted(value, Format::text);
    } else {
      append_escaped(line, value, Format::text);
    }
    separator = " ";
  }
  return line;
}

std::string json_members(std::string_view program, std::string_view event,
                         std::string_view sentence, Fields fields) {
  std::string line;
  const auto member = [&line](std::string_view key, std::string_view value) {
    line += fmt::format("{}:{},", quoted(key, Format::json), quoted(value, Format::json));
  };
  member("program", program);
  member("event", event);
  member("message", sentence);
  // In an object of their own, so that no field can shadow a member above.
  line += "\"fields\":{";
  for (const auto& [key, value] : fields) {
    member(key, value);
  }
  if (line.back() == ',') {
    line.pop_back();
  }
  return line + '}';
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// The sink locks; the rest is constant once `start` has returned.
struct State {
  State(Format with_format, Level lowest, std::string_view of_program)
      : format(with_format),
        program(of_program),
        logger(program, std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_pattern(format == Format::json ? R"({"time":"%Y-%m-%dT%H:%M:%SZ","level":"%l",%v})"
                                              : "%Y-%m-%dT%H:%M:%SZ %-7l  %v",
                       spdlog::pattern_time_type::utc);
    logger.set_level(to_spdlog(lowest));
  }

  Format format;
  std::string program;
  spdlog::logger logger;
};

// Never destroyed: a thread may still log while the process exits.
State*& state() {
  static State* current = new State(Format::text, Level::warning, "entente");
  return current;
}

}  // namespace

void start(Format format, Level lowest, std::string_view program) {
  delete std::exchange(state(), new State(format, lowest, program));
}

void write(Level level, std::string_view event, std::string_view sentence, Fields fields) {
  State& to = *state();
  if (!to.logger.should_log(to_spdlog(level))) {
    return;
  }
  const std::string line = to.format == Format::json
                               ? json_members(to.program, event, sentence, fields)
                               : text_line(event, sentence, fields);
  to.logger.log(to_spdlog(level), spdlog::string_view_t(line));
}

}  // namespace entente::log
