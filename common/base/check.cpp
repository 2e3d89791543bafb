#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace entente {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "bug: %s:%d: %s does not hold\n", file, line, condition);
  std::abort();
}

}  // namespace entente
