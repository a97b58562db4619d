// Parts in which a position attends one key of each row above: its column's.
#pragma once

#include "model/attention/part.h"

namespace combiner {

// Keys and values [rows, columns, D] of the columns from first_column on. A column stride of zero
// shares a row's key among all its columns.
template <class T>
struct Above {
  Grid<T> key, value;
  int64_t first_column = 0;
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
  // Merges what the band's positions attend, once their own rows are among the keys.
  void attend_keys(const Band<T>& band, const Attended<T>& attended, T* state) const;
  // Of at least the rows so far; those that extend() has not seen are never attended.
  virtual Above<const T> above(const Band<T>& band, T* state) const = 0;
  // Makes the keys and values of the band's rows.
  virtual void extend(const Band<T>& band, T* state, PartActivations<T>& act) const = 0;
  // Passes on the gradient of the keys and values, in grids like those of above().
  virtual void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                               const Above<float>& d_above, T* state,
                               PartActivations<T>& act) const = 0;
};

}  // namespace combiner
