#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "base/json.h"
#include "base/strings.h"

namespace sluice::checkpoint {
namespace {

struct StoredType {
  std::string_view name;
  int bits;  // of one element
  std::optional<DType> dtype;
};

constexpr StoredType kStoredTypes[] = {
    {"F32", 32, DType::kF32},
    {"F16", 16, DType::kF16},
    {"BF16", 16, DType::kBF16},
    {"I8", 8, DType::kI8},
    {"U8", 8, DType::kU8},
    {"I32", 32, DType::kI32},
    {"I64", 64, DType::kI64},
    {"F64", 64, {}},
    {"C64", 64, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"U32", 32, {}},
    {"U64", 64, {}},
    {"BOOL", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
};

const StoredType* find_stored_type(std::string_view name) {
  for (const StoredType& type : kStoredTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

// A tensor as the header describes it, nothing checked yet.
struct HeaderEntry {
  std::string name;
  std::string type;
  std::vector<uint64_t> shape;
  std::array<uint64_t, 2> offsets{};  // [begin, end) in the bytes after the header
  int offsets_seen = 0;
  bool has_type = false, has_shape = false, has_offsets = false;
};

// Reads the header from parse events: no tree is built, so a hostile header costs little more memory than its own size,
// and a name that comes twice is seen (a tree would keep the last).
class HeaderReader {
 public:
  explicit HeaderReader(const SafetensorsLimits& limits) : limits_(limits) {}

  bool null() { return place_ == Place::kTop && key_ == "__metadata__" ? true : scalar("null"); }
  bool boolean(bool) { return scalar("a boolean"); }
  bool number_integer(int64_t) { return scalar("a negative number"); }
  bool number_float(double, const std::string&) { return scalar("a fraction"); }
  bool binary(std::vector<uint8_t>&) { return false; }

  bool number_unsigned(uint64_t value) {
    if (place_ == Place::kShape) {
      if (entries_.back().shape.size() >= static_cast<size_t>(limits_.rank_max)) {
        return fail(cat("more than ", limits_.rank_max, " dimensions"));
      }
      entries_.back().shape.push_back(value);
      return true;
    }
    if (place_ == Place::kOffsets) {
      HeaderEntry& entry = entries_.back();
      if (entry.offsets_seen == 2) return fail("data_offsets has more than two numbers");
      entry.offsets[static_cast<size_t>(entry.offsets_seen++)] = value;
      return true;
    }
    return scalar("a number");
  }

  bool string(std::string& value) {
    if (place_ != Place::kTensor || key_ != "dtype") return scalar("a string");
    if (entries_.back().has_type) return fail("dtype is there twice");
    entries_.back().type = std::move(value);
    entries_.back().has_type = true;
    return true;
  }

  bool key(std::string& name) {
    if (place_ != Place::kTop) {
      key_ = std::move(name);
      return true;
    }
    if (entries_.size() >= limits_.tensors_max) return fail(cat("more than ", limits_.tensors_max, " tensors"));
    if (!names_.insert(name).second) return fail("the name is there twice", name);
    key_ = std::move(name);
    return true;
  }

  bool start_object(size_t) {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && key_ == "__metadata__") {
      return skip(Place::kTop);
    } else if (place_ == Place::kTop) {
      entries_.emplace_back().name = key_;
      place_ = Place::kTensor;
    } else {
      return nested("an object");
    }
    return true;
  }

  bool start_array(size_t) {
    if (place_ != Place::kTensor) return nested("a list");
    HeaderEntry& entry = entries_.back();
    if (key_ == "shape") {
      if (std::exchange(entry.has_shape, true)) return fail("shape is there twice");
      place_ = Place::kShape;
      return true;
    }
    if (key_ == "data_offsets") {
      if (std::exchange(entry.has_offsets, true)) return fail("data_offsets is there twice");
      place_ = Place::kOffsets;
      return true;
    }
    return nested("a list");
  }

  bool end_object() {
    if (place_ == Place::kSkip) return leave_skip();
    if (place_ == Place::kTop) return true;
    const HeaderEntry& entry = entries_.back();
    if (!entry.has_type) return fail("dtype is missing");
    if (!entry.has_shape) return fail("shape is missing");
    if (entry.offsets_seen != 2) return fail("data_offsets must be two numbers");
    place_ = Place::kTop;
    return true;
  }

  bool end_array() {
    if (place_ == Place::kSkip) return leave_skip();
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    message_ = cat("its header is not valid JSON at byte ", position);
    return false;
  }

  const std::string& message() const { return message_; }
  std::vector<HeaderEntry> take_entries() { return std::move(entries_); }

 private:
  enum class Place { kStart, kTop, kTensor, kShape, kOffsets, kSkip };
  static constexpr int kSkipDepthMax = 16;

  bool fail(std::string_view what, std::string_view name) {
    message_ = cat("tensor ", quote(name), ": ", what);
    return false;
  }
  bool fail(std::string_view what) { return fail(what, entries_.empty() ? std::string_view() : entries_.back().name); }

  // A value that has no meaning here: harmless below a field we do not know, wrong elsewhere.
  bool scalar(std::string_view came) {
    switch (place_) {
      case Place::kSkip:
        return true;
      case Place::kStart:
        message_ = cat("its header must be a JSON object, but is ", came);
        return false;
      case Place::kTop:
        return fail(cat("must be an object, but is ", came), key_);
      case Place::kTensor:
        return is_known_field() ? fail(cat(key_, " cannot be ", came)) : true;
      case Place::kShape:
        return fail(cat("shape must be whole numbers, but has ", came));
      case Place::kOffsets:
        return fail(cat("data_offsets must be two whole numbers, but has ", came));
    }
    return false;
  }
  bool nested(std::string_view came) {
    if (place_ == Place::kSkip || (place_ == Place::kTensor && !is_known_field())) return skip(place_);
    return scalar(came);
  }
  bool skip(Place from) {
    if (from != Place::kSkip) after_skip_ = from;
    place_ = Place::kSkip;
    if (++skip_depth_ <= kSkipDepthMax) return true;
    message_ = "its header is nested too deep";
    return false;
  }
  bool leave_skip() {
    if (--skip_depth_ == 0) place_ = after_skip_;
    return true;
  }
  bool is_known_field() const { return key_ == "dtype" || key_ == "shape" || key_ == "data_offsets"; }

  SafetensorsLimits limits_;
  Place place_ = Place::kStart;
  Place after_skip_ = Place::kTop;
  int skip_depth_ = 0;
  std::string key_;
  std::vector<HeaderEntry> entries_;
  std::unordered_set<std::string> names_;
  std::string message_;
};

// Every byte of the data belongs to exactly one tensor, as the reference demands.
std::string check_layout(const std::vector<HeaderEntry>& entries, uint64_t data_bytes) {
  std::vector<const HeaderEntry*> ordered;
  for (const HeaderEntry& entry : entries) ordered.push_back(&entry);
  std::sort(ordered.begin(), ordered.end(), [](auto* a, auto* b) { return a->offsets < b->offsets; });
  uint64_t at = 0;
  for (const HeaderEntry* entry : ordered) {
    const auto [begin, end] = entry->offsets;
    const auto where = [&] { return cat("tensor ", quote(entry->name), " at data bytes ", begin, " to ", end); };
    if (end < begin) return cat(where(), " ends before it begins");
    if (end > data_bytes) {
      return cat(where(), " reaches past the end: the file has ", data_bytes, " data bytes; it was cut short");
    }
    if (begin < at) return cat(where(), " overlaps the tensor before it, which ends at ", at);
    if (begin > at) return cat(where(), " leaves a gap after byte ", at);
    at = end;
  }
  if (at != data_bytes) return cat("its tensors take ", at, " bytes, but the file has ", data_bytes, " data bytes");
  return {};
}

Result<WeightEntry> make_entry(HeaderEntry header, const WeightFile& file, size_t data_begin) {
  const auto wrong = [&](std::string_view what) {
    return corrupt_data(cat(file.path, ": tensor ", quote(header.name), " ", what));
  };
  const StoredType* type = find_stored_type(header.type);
  const uint64_t size = header.offsets[1] - header.offsets[0];
  const std::optional<uint64_t> elements = stored_bytes(header.shape, 1, 1);
  if (!elements) return wrong("has a shape too large for any memory");
  if (type != nullptr) {
    uint64_t bits = 0;
    if (__builtin_mul_overflow(*elements, static_cast<uint64_t>(type->bits), &bits) || bits % 8 != 0 ||
        bits / 8 != size) {
      return wrong(
          cat("of type ", header.type, " has ", *elements, " elements by its shape, but ", size, " bytes of data"));
    }
  }

  WeightEntry entry;
  entry.stored_type = utf8_sanitize(header.type.substr(0, 32));
  entry.data = file.bytes.data() + data_begin + header.offsets[0];
  entry.bytes = size;
  if (header.shape.size() > static_cast<size_t>(kRankMax)) {
    entry.problem = cat("it has ", header.shape.size(), " dimensions; at most ", kRankMax, " are supported");
  } else {
    for (const uint64_t n : header.shape) {
      if (n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return wrong("has a dimension too large");
      entry.shape.push_back(static_cast<int64_t>(n));
    }
  }
  if (type != nullptr && type->dtype) {
    entry.dtype = type->dtype;
  } else {
    entry.problem = cat("its type ", entry.stored_type, " is not supported (F32, F16, BF16, I8, U8, I32 and I64 are)");
  }
  entry.name = std::move(header.name);
  return entry;
}

}  // namespace

Result<WeightMap> read_safetensors(WeightFile file, const SafetensorsLimits& limits) {
  constexpr size_t kLengthBytes = 8;
  const std::string path = file.path;
  const auto wrong = [&](const std::string& what) {
    return corrupt_data(cat(path, " is not a sound safetensors file: ", what));
  };
  if (file.bytes.size() < kLengthBytes) return wrong(cat("it has only ", file.bytes.size(), " bytes"));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.bytes.data(), kLengthBytes);
  if (header_bytes > limits.header_bytes_max) {
    return wrong(cat("its header would have ", header_bytes, " bytes; the limit is ", limits.header_bytes_max));
  }
  if (header_bytes > file.bytes.size() - kLengthBytes) {
    return wrong(cat("its header of ", header_bytes, " bytes does not fit into its ", file.bytes.size(),
                     " bytes; it was cut short"));
  }
  const size_t data_begin = kLengthBytes + header_bytes;

  const auto* text = reinterpret_cast<const char*>(file.bytes.data()) + kLengthBytes;
  if (header_bytes == 0 || text[0] != '{') return wrong("its header does not begin with '{'");
  HeaderReader reader(limits);
  if (!Json::sax_parse(text, text + header_bytes, &reader)) return wrong(reader.message());
  std::vector<HeaderEntry> headers = reader.take_entries();
  if (std::string problem = check_layout(headers, file.bytes.size() - data_begin); !problem.empty())
    return wrong(problem);

  WeightMap weights;
  weights.add_file(std::move(file));
  for (HeaderEntry& header : headers) {
    SLUICE_TRY(auto entry, make_entry(std::move(header), weights.files()[0], data_begin));
    SLUICE_RETURN_IF_ERROR(weights.add(std::move(entry)));
  }
  return weights;
}

Result<WeightMap> open_safetensors(const std::string& path) {
  SLUICE_TRY(auto file, WeightFile::map(path));
  return read_safetensors(std::move(file));
}

}  // namespace sluice::checkpoint
