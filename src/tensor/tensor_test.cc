#include "tensor/tensor.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Shape, CountsRowsColumnsAndElements) {
  const Shape shape{3, 4, 64};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.elements(), 768);
  EXPECT_EQ(shape.columns(), 64);
  EXPECT_EQ(shape.rows(), 12);
  EXPECT_EQ(shape[-2], 4);
  EXPECT_EQ(shape.str(), "[3, 4, 64]");
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape().rows(), 1);
  EXPECT_EQ((Shape{5, 0}).rows(), 0);
  EXPECT_TRUE((Shape{2, 3}) == (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
}

TEST(Tensor, KnowsBytesAndRowsOfBlockTypes) {
  const std::byte memory[1]{};
  const Tensor q4{memory, DType::kQ4_0, Shape{3, 64}};
  EXPECT_EQ(q4.bytes(), 3u * 2 * 18);
  EXPECT_EQ(q4.row(2) - q4.data, 2 * 2 * 18);
  const Tensor f16{memory, DType::kF16, Shape{3, 5}};
  EXPECT_EQ(f16.bytes(), 30u);
  EXPECT_FALSE(static_cast<bool>(Tensor{}));
}

TEST(Buffer, IsAligned) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1000}, size_t{5} << 20}) {
    Buffer buffer(bytes);
    ASSERT_NE(buffer.data(), nullptr);
    EXPECT_EQ(buffer.size(), bytes);
    const size_t alignment = bytes >= (size_t{4} << 20) ? size_t{2} << 20 : 64;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0u);
    if (bytes > 0) buffer.data()[bytes - 1] = std::byte{1};
  }
}

}  // namespace
}  // namespace sluice
