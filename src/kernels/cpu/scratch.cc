#include "kernels/cpu/scratch.h"

namespace sluice::kernels {
namespace {

float* at_least(Buffer& buffer, size_t floats) {
  const size_t bytes = floats * sizeof(float);
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer.as<float>();
}

}  // namespace

float* thread_scratch(size_t floats) {
  thread_local Buffer buffer;
  return at_least(buffer, floats);
}

float* shared_scratch(size_t floats) {
  thread_local Buffer buffer;
  return at_least(buffer, floats);
}

}  // namespace sluice::kernels
