#include "common/domain/seeds.h"

namespace entente {
namespace {

// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
class Fnv1a {
 public:
  void add(std::uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  void add(std::string_view text) {
    for (const char c : text) {
      add(static_cast<std::uint8_t>(c));
    }
  }
  // Little-endian, whatever the machine.
  void add(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      add(static_cast<std::uint8_t>(value >> (8 * i)));
    }
  }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

// The output function of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014.
std::uint64_t split_mix_finalise(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::uint64_t job_seed(const JobSpec& spec, const Digest& spec_digest) {
  if (spec.seed) {
    return *spec.seed;
  }
  std::uint64_t seed = 0;
  for (int i = 0; i < 8; ++i) {
    seed = seed << 8 | spec_digest.bytes[static_cast<std::size_t>(i)];
  }
  return seed;
}

std::uint64_t task_seed(std::uint64_t job_seed, Round round, std::string_view site) {
  Fnv1a mix;
  mix.add(job_seed, 8);
  mix.add(round, 4);
  mix.add(site);
  return split_mix_finalise(mix.hash());
}

std::uint64_t repeated_seed(std::uint64_t task_seed, std::uint32_t taken_before) {
  if (taken_before == 0) {
    return task_seed;
  }
  Fnv1a mix;
  mix.add(task_seed, 8);
  mix.add("again");
  mix.add(taken_before, 4);
  return split_mix_finalise(mix.hash());
}

std::uint64_t draw_number(std::uint64_t job_seed, Round round, std::string_view site) {
  Fnv1a mix;
  mix.add(task_seed(job_seed, round, site), 8);
  mix.add("draw");
  return split_mix_finalise(mix.hash());
}

std::uint64_t course_seed(std::uint64_t task_seed, std::string_view course) {
  Fnv1a mix;
  mix.add(task_seed, 8);
  mix.add(course);
  return split_mix_finalise(mix.hash());
}

std::uint64_t rounding_seed(std::uint64_t task_seed) { return course_seed(task_seed, "rounding"); }

}  // namespace entente
