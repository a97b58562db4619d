// Parts in which a position attends to one key of each row above: the one in its own column.
#pragma once

#include "model/attention/part.h"

namespace combiner {

// Keys and values [rows, columns, D] of the grid's columns from first_column on. With a column
// stride of zero, all columns share one key per row.
template <class T>
struct Above {
  Grid<T> key, value;
  int64_t first_column = 0;
};

// A key and a value [D] kept for each position, one column of the grid after another: how parts lay
// out their state.
template <class T>
struct KeyValueGrids {
  Grid<T> key, value;

  KeyValueGrids(const AttentionShape& shape, T* data)
      : key(Grid<T>::by_column(data, shape.rows, shape.columns, shape.dim)),
        value(Grid<T>::by_column(data + shape.positions() * shape.dim, shape.rows, shape.columns,
                                 shape.dim)) {}
};

template <class T>
class AbovePart : public Part<T> {
 public:
  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                   PartActivations<T>& act) const override;
  void add_spans(const Band<T>& row, int64_t column, T* state, KvSpans<T>& spans) const override;
  void finish_position(const Band<T>& row, int64_t column, T* state,
                       PartActivations<T>& act) const final;
  void attend_later(const Band<T>& image, const Attended<T>& attended, T* state,
                    PartActivations<T>& act) const final;
  void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* state,
                       PartActivations<T>& act) const override;

 protected:
  // Merges the band's attention to the keys, which must already include the band's own rows.
  void attend_keys(const Band<T>& band, const Attended<T>& attended, T* state) const;
  // The keys and values of at least the rows so far. Rows that extend() has not seen are never
  // attended to.
  virtual Above<const T> above(const Band<T>& band, T* state) const = 0;
  // Computes the keys and values of the band's rows.
  virtual void extend(const Band<T>& band, T* state, PartActivations<T>& act) const = 0;
  // Propagates the gradient of the keys and values, which is laid out like the result of above().
  virtual void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                               const Above<float>& d_above, T* state,
                               PartActivations<T>& act) const = 0;
};

}  // namespace combiner
