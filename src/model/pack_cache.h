#pragma once
// Packed weights kept between starts: one pack file (checkpoint/pack_file.h) per model and kind of packing, in the
// user's cache directory. The first start packs and writes it, later ones map it. A file whose model changed (a path,
// size or time of its files), or that another version wrote, is written anew. Used by the loading thread alone.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/model_files.h"
#include "checkpoint/pack_file.h"
#include "tensor/packed_matrix.h"

namespace sluice::model {

// $XDG_CACHE_HOME/sluice, else ~/.cache/sluice; "" when neither is known.
std::string default_pack_directory();

class PackCache {
 public:
  // Looks for the file of `files` packed as `settings` say (any text that decides the packing). "" as directory: no
  // cache, nothing is found and nothing written.
  PackCache(std::string directory, const checkpoint::ModelFiles& files, const std::string& settings, ThreadPool& pool);

  bool found() const { return pack_ != nullptr; }
  // The packed matrix of that name, [n, k] in `format`; a null tensor when the file has none.
  Tensor find(const std::string& name, const PackedFormat& format, int64_t n, int64_t k) const;
  // Remembers a matrix that had to be packed; it must stay where it is until save().
  void add(std::string name, const Tensor& packed);
  // Writes what was added, if the file was not found, and removes stale files of the same model and settings. A failure
  // is logged: the model runs without.
  void save(ThreadPool& pool, const std::function<void(size_t, size_t)>& progress);

  // Keeps the mapping.
  std::shared_ptr<const checkpoint::PackFile> file() const { return pack_; }

 private:
  std::string directory_;
  std::string prefix_;  // of the file's name: the model and the settings
  std::string path_;
  std::string key_;
  std::shared_ptr<const checkpoint::PackFile> pack_;
  std::vector<checkpoint::PackBlob> added_;
};

}  // namespace sluice::model
