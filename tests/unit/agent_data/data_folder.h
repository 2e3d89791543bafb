// A folder with a dataset's files, gone afterwards, and what is expected of datasets made from it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "site-agent/data/dataset.h"

namespace entente::agent {

class DataFolder : public testing::Test {
 protected:
  DataFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "entente-data-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw std::runtime_error("cannot make a temporary folder");
    }
    folder_ = pattern;
  }
  ~DataFolder() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  std::filesystem::path gzip(const std::string& name, std::string_view bytes) const {
    gzFile file = ::gzopen((folder_ / name).c_str(), "wb");
    EXPECT_EQ(::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
              static_cast<int>(bytes.size()));
    EXPECT_EQ(::gzclose(file), Z_OK);
    return folder_ / name;
  }

  static Dataset load(const DatasetConfig& config) {
    auto loaded = load_dataset(config);
    if (!loaded) {
      ADD_FAILURE() << loaded.error().message;
      return {};
    }
    return *std::move(loaded);
  }

  // What loading is refused with; describing must not be kinder where it reads the same bytes.
  static std::string refusal(const DatasetConfig& config) {
    const auto loaded = load_dataset(config);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? "" : loaded.error().message;
  }

  std::filesystem::path folder_;
};

}  // namespace entente::agent
