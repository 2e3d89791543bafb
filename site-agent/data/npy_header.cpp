#include "site-agent/data/npy_header.h"

#include <charconv>
#include <set>

namespace entente::agent {
namespace {

// Takes a text apart from its front. What is not there leaves `ok` false, and everything after it
// changes nothing.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() {
    skip_blanks();
    return text_.empty();
  }

  bool try_take(std::string_view word) {
    skip_blanks();
    if (!text_.starts_with(word)) {
      return false;
    }
    text_.remove_prefix(word.size());
    return true;
  }
  void take(std::string_view word) { ok_ = try_take(word) && ok_; }

  std::string quoted() {
    const char quote = try_take("'") ? '\'' : '"';
    if (quote == '"') {
      take("\"");
    }
    const auto end = text_.find(quote);
    if (!ok_ || end == std::string_view::npos) {
      ok_ = false;
      return {};
    }
    std::string word(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return word;
  }

  bool boolean() {
    if (try_take("True")) {
      return true;
    }
    take("False");
    return false;
  }

  std::uint64_t natural() {
    skip_blanks();
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    ok_ = ok_ && error == std::errc();
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }

 private:
  void skip_blanks() {
    const auto begin = text_.find_first_not_of(" \n");
    text_.remove_prefix(begin == std::string_view::npos ? text_.size() : begin);
  }

  std::string_view text_;
  bool ok_ = true;
};

std::vector<std::uint64_t> tuple(Scanner& scanner) {
  std::vector<std::uint64_t> items;
  scanner.take("(");
  while (scanner.ok() && !scanner.try_take(")")) {
    items.push_back(scanner.natural());
    if (!scanner.try_take(",")) {
      scanner.take(")");
      break;
    }
  }
  return items;
}

}  // namespace

std::optional<NpyHeader> parse_npy_header(std::string_view text) {
  NpyHeader header;
  std::set<std::string> keys;
  Scanner scanner(text);
  scanner.take("{");
  while (scanner.ok() && !scanner.try_take("}")) {
    const std::string key = scanner.quoted();
    scanner.take(":");
    if (!keys.insert(key).second) {
      return std::nullopt;
    }
    if (key == "descr") {
      const std::string descr = scanner.quoted();
      if (descr.size() < 2 || std::string_view("<>|").find(descr[0]) == std::string_view::npos) {
        return std::nullopt;
      }
      header.is_big_endian = descr[0] == '>';
      header.type = descr.substr(1);
    } else if (key == "fortran_order") {
      header.fortran_order = scanner.boolean();
    } else if (key == "shape") {
      header.shape = tuple(scanner);
    } else {
      return std::nullopt;
    }
    if (!scanner.try_take(",")) {
      scanner.take("}");
      break;
    }
  }
  return scanner.ok() && scanner.at_end() && keys.size() == 3 ? std::optional(header)
                                                              : std::nullopt;
}

}  // namespace entente::agent
