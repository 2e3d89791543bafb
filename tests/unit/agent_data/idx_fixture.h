// Writes IDX files, whole or damaged, into a folder that is removed afterwards.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "site-agent/data/dataset.h"

namespace entente::agent {

using Bytes = std::vector<std::uint8_t>;

class IdxFolder : public testing::Test {
 protected:
  IdxFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "entente-idx-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw std::runtime_error("cannot make a temporary folder");
    }
    folder_ = pattern;
  }
  ~IdxFolder() override { std::filesystem::remove_all(folder_); }

  static Bytes idx(const std::vector<std::uint32_t>& dimensions, const Bytes& elements) {
    Bytes bytes{0, 0, 0x08, static_cast<std::uint8_t>(dimensions.size())};
    for (const auto dimension : dimensions) {
      for (const int shift : {24, 16, 8, 0}) {
        bytes.push_back(static_cast<std::uint8_t>(dimension >> shift));
      }
    }
    bytes.insert(bytes.end(), elements.begin(), elements.end());
    return bytes;
  }

  std::filesystem::path plain(const std::string& name, const Bytes& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return folder_ / name;
  }

  std::filesystem::path gzip(const std::string& name, const Bytes& bytes) const {
    const auto path = folder_ / name;
    gzFile file = ::gzopen(path.c_str(), "wb");
    EXPECT_EQ(::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
              static_cast<int>(bytes.size()));
    EXPECT_EQ(::gzclose(file), Z_OK);
    return path;
  }

  // Four 2x3 images whose bytes count upwards, with labels 2, 0, 1, 2.
  static Bytes images() {
    Bytes pixels(4 * 6);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = static_cast<std::uint8_t>(10 * i);
    }
    return idx({4, 2, 3}, pixels);
  }
  static Bytes labels() { return idx({4}, {2, 0, 1, 2}); }

  static DatasetConfig config(const std::filesystem::path& images,
                              const std::filesystem::path& labels) {
    DatasetConfig config;
    config.name = "digits";
    config.source = IdxFiles{images, labels};
    return config;
  }

  std::filesystem::path folder_;
};

}  // namespace entente::agent
