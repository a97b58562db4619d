#include "kernels/rows.h"
#include "model/attention/above.h"
#include "model/attention/parts.h"

namespace combiner {
namespace {

template <class T>
class ColumnPart final : public AbovePart<T> {
 public:
  KvLayout kv_layout() const override { return KvLayout::by_column; }
  int64_t pairs(const AttentionShape& shape) const override {
    return shape.columns * (shape.rows * (shape.rows - 1) / 2);
  }

 protected:
  Above<const T> above(const Band<T>& band, T* /*state*/) const override {
    return {band.all_key, band.all_value};
  }
  void extend(const Band<T>& /*band*/, T* /*state*/, PartActivations<T>& /*act*/) const override {}
  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* /*state*/,
                       PartActivations<T>& /*act*/) const override {
    for (int64_t r = 0; r < image.query.rows; ++r) {
      add_rows(d_above.key.row(r), gradient.d_key.row(r));
      add_rows(d_above.value.row(r), gradient.d_value.row(r));
    }
  }
};

}  // namespace

template <class T>
const Part<T>& column_part() {
  static const ColumnPart<T> part;
  return part;
}
template const Part<float>& column_part();
template const Part<bfloat16>& column_part();

}  // namespace combiner
