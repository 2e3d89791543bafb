// ENTENTE_CHECK: an invariant of our own code, always on.
//
// A failed check is a bug in Entente: it prints the condition and aborts. Never use it on data that
// a peer, a file or a coordinator chose; such data gets a Refusal (refusal.h).
#pragma once

namespace entente {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace entente

#define ENTENTE_CHECK(condition)                               \
  do {                                                         \
    if (!(condition)) {                                        \
      ::entente::check_failed(#condition, __FILE__, __LINE__); \
    }                                                          \
  } while (false)
