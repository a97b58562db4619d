#include "kernels/attend.h"

#include <cmath>
#include <limits>
#include <vector>

#include "attention_case.h"
#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"

namespace combiner {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

// The relative error of each weight in attend and attend_spans from rounding it for the product
// with the values: 2^-13 of the exponential, plus that of bfloat16.
template <class T>
double weight_rounding() {
  return std::is_same_v<T, bfloat16> && cpu_features().amx ? kBfloat16Unit + 0x1p-13 : 0.0;
}

// A query's attention over the visible keys of several parts in one softmax, with bounds on the
// errors of a computation in float whose weights are rounded this way.
struct Attended {
  std::vector<double> out, out_error;
  double lse = kNothing, lse_error = 0;
};

template <class T>
Attended attended(const std::vector<const AttentionCase<T>*>& parts, int64_t i, double rounding) {
  const int64_t head_dim = parts[0]->head_dim();
  struct Key {
    const AttentionCase<T>* part;
    int64_t j;
    double logit, logit_error;
  };
  std::vector<Key> keys;
  for (const AttentionCase<T>* part : parts)
    for (int64_t j = 0; j < part->visible_keys(i); ++j)
      // The error of a sum of head_dim products, after scaling the query.
      keys.push_back(
          {part, j, part->logit(i, j),
           static_cast<double>(head_dim + 2) * kFloatUnit * part->logit_magnitude(i, j)});

  Attended result;
  result.out.resize(static_cast<size_t>(head_dim));
  result.out_error.resize(static_cast<size_t>(head_dim));
  if (keys.empty()) return result;
  double maximum = kNothing, size = 0, logit_error = 0;
  for (const Key& key : keys) {
    maximum = std::max(maximum, key.logit);
    size = std::max(size, std::abs(key.logit));
    logit_error = std::max(logit_error, key.logit_error);
  }
  double sum = 0, spread = 0;
  for (const Key& key : keys) {
    sum += std::exp(key.logit - maximum);
    spread += std::exp(key.logit - maximum) * (maximum - key.logit);
  }
  result.lse = maximum + std::log(sum);
  // An exponential is off by 4 u, or by the error that its rounding adds, and by the error of its
  // argument; the sum adds n u. A logarithm turns relative errors into absolute ones. The lse of
  // each part, and each merge of two parts, is a sum of numbers of the logits' magnitude.
  const auto n = static_cast<double>(keys.size());
  const auto merges = static_cast<double>(parts.size());
  result.lse_error =
      logit_error + rounding +
      kFloatUnit * (n + spread / sum + merges * (10 + 3 * (size + std::log(n) + logit_error)));
  for (const Key& key : keys) {
    const double weight = std::exp(key.logit - result.lse);
    const double weight_error = key.logit_error + rounding + result.lse_error +
                                kFloatUnit * (maximum - key.logit + n + 8 + 8 * merges);
    for (int64_t d = 0; d < head_dim; ++d) {
      const double value = key.part->value(key.j, d);
      result.out[static_cast<size_t>(d)] += weight * value;
      // A weight below the smallest float may become zero. Where logits are not reduced by their
      // maximum, the sum that the weight belongs to may be as small as 2^-80.
      result.out_error[static_cast<size_t>(d)] +=
          (weight * weight_error + (rounding > 0 ? 0x1p-45 : 0x1p-120)) * std::abs(value);
    }
  }
  return result;
}

template <class T>
double worst_error(const std::vector<const AttentionCase<T>*>& parts,
                   const AttendResult<T>& actual) {
  ErrorBounds bounds;
  for (int64_t i = 0; i < parts[0]->queries(); ++i) {
    const Attended expected = attended(parts, i, weight_rounding<T>());
    bounds.add(actual.lse(i, 0), expected.lse, expected.lse_error);
    for (int64_t d = 0; d < parts[0]->head_dim(); ++d)
      bounds.add(actual.out(i, d), expected.out[static_cast<size_t>(d)],
                 expected.out_error[static_cast<size_t>(d)]);
  }
  return bounds.worst();
}

template <class T>
std::string describe(const AttentionCase<T>& c) {
  return std::to_string(c.queries()) + " queries, " + std::to_string(c.keys()) + " keys of " +
         std::to_string(c.head_dim()) + ", visible " + std::to_string(c.visible.first) + " + " +
         std::to_string(c.visible.step) + " i";
}

template <class T>
bool same_row(const AttendResult<T>& a, const AttendResult<T>& b, int64_t i) {
  bool same = a.lse(i, 0) == b.lse(i, 0);
  for (int64_t d = 0; d < a.out.view().columns; ++d) same = same && a.out(i, d) == b.out(i, d);
  return same;
}

template <class T>
void check_tiles() {
  Scratch scratch;
  for_each_attention_case<T>([&](const AttentionCase<T>& c) {
    AttendResult<T> result(c.queries(), c.head_dim());
    attend(c.tile(), result.output(), Merge::replace, scratch);
    INFO(describe(c));
    CHECK(worst_error<T>({&c}, result) <= 1.0);
    CHECK(result.consistent());
  });
}

TEST_CASE("attend agrees with a plain softmax, under every mask") {
  for_each_instruction_set([] {
    check_tiles<float>();
    check_tiles<bfloat16>();
  });
}

TEST_CASE("attend outputs zeros where no key is visible") {
  for_each_instruction_set([] {
    Scratch scratch;
    Random random(2);
    // Queries 0 to 2 see no key. After that come cases with no keys and with no queries.
    const AttentionCase<float> some(5, 4, 7, Visible::strict(-2), random);
    AttendResult<float> result(5, 7);
    attend(some.tile(), result.output(), Merge::replace, scratch);
    for (int64_t i = 0; i < 3; ++i) {
      CHECK(result.lse(i, 0) == kNothing);
      for (int64_t d = 0; d < 7; ++d) CHECK(result.out(i, d) == 0.0);
    }
    CHECK(std::isfinite(result.lse(3, 0)));

    const AttentionCase<float> none(5, 0, 7, Visible::all(), random);
    AttendResult<float> merged = result;
    attend(none.tile(), merged.output(), Merge::merge, scratch);
    for (int64_t i = 0; i < 5; ++i) CHECK(same_row(merged, result, i));
    attend(none.tile(), merged.output(), Merge::replace, scratch);
    for (int64_t i = 0; i < 5; ++i) CHECK(merged.lse(i, 0) == kNothing);

    const AttentionCase<float> nobody(0, 4, 7, Visible::causal(), random);
    AttendResult<float> empty(0, 7);
    attend(nobody.tile(), empty.output(), Merge::replace, scratch);
  });
}

template <class T>
void check_causal_and_full(const AttentionCase<T>& c, Scratch& scratch) {
  AttendResult<T> some(c.queries(), c.head_dim()), whole(c.queries(), c.head_dim());
  attend_causal_and_full(c.tile(), some.output(), whole.output(), scratch);
  AttentionCase<T> all = c;
  all.visible = Visible::all();
  INFO(describe(c));
  CHECK(worst_error<T>({&c}, some) <= 1.0);
  CHECK(worst_error<T>({&all}, whole) <= 1.0);
  CHECK(some.consistent());
  CHECK(whole.consistent());
}

template <class T>
void check_causal_and_full() {
  Scratch scratch;
  for_each_attention_case<T>([&](const AttentionCase<T>& c) { check_causal_and_full(c, scratch); });
}

TEST_CASE("attend_causal_and_full agrees with two plain softmaxes") {
  for_each_instruction_set([] {
    check_causal_and_full<float>();
    check_causal_and_full<bfloat16>();
  });
}

template <class T>
void check_extreme_causal_and_full() {
  constexpr double kSizes[] = {1e2, 1e4, 1e8};
  Scratch scratch;
  for_each_extreme_causal_case<T>(
      kSizes, [&](const AttentionCase<T>& c) { check_causal_and_full(c, scratch); });
}

// With AMX the two softmaxes share exponentials, but not where those of one don't fit the other.
TEST_CASE("attend_causal_and_full with large logits sees nothing of hidden keys") {
  for_each_instruction_set([] {
    check_extreme_causal_and_full<float>();
    check_extreme_causal_and_full<bfloat16>();
  });
}

template <class T>
void check_merge() {
  Scratch scratch;
  Random random(3);
  for (const int64_t queries : {1, 17})
    for (const int64_t keys : {1, 7, 33})
      for (const int64_t head_dim : {3, 16})
        for (const Visible& visible : kVisible) {
          const AttentionCase<T> row(queries, 17, head_dim, Visible::causal(), random);
          AttentionCase<T> above(queries, keys, head_dim, visible, random);
          AttentionCase<T> third(queries, 3, head_dim, Visible::strict(-1), random);
          above.query = row.query;
          third.query = row.query;
          AttendResult<T> result(queries, head_dim);
          attend(row.tile(), result.output(), Merge::replace, scratch);
          attend(above.tile(), result.output(), Merge::merge, scratch);
          attend(third.tile(), result.output(), Merge::merge, scratch);
          INFO(describe(above));
          CHECK(worst_error<T>({&row, &above, &third}, result) <= 1.0);

          // In the reverse order the first part, and the result that others are merged into, may be
          // empty.
          attend(third.tile(), result.output(), Merge::replace, scratch);
          attend(above.tile(), result.output(), Merge::merge, scratch);
          attend(row.tile(), result.output(), Merge::merge, scratch);
          CHECK(worst_error<T>({&row, &above, &third}, result) <= 1.0);
          CHECK(result.consistent());
        }
}

TEST_CASE("Merging parts is one softmax over all their keys") {
  for_each_instruction_set([] {
    check_merge<float>();
    check_merge<bfloat16>();
  });
}

TEST_CASE("Merging into an empty part replaces it, whatever it contains") {
  for_each_instruction_set([] {
    Scratch scratch;
    Random random(4);
    const AttentionCase<float> c(3, 5, 9, Visible::all(), random);
    AttendResult<float> replaced(3, 9), merged(3, 9);
    attend(c.tile(), replaced.output(), Merge::replace, scratch);
    for (int64_t i = 0; i < 3; ++i) {
      merged.lse.at(i, 0) = -HUGE_VALF;
      for (int64_t d = 0; d < 9; ++d) merged.out.at(i, d) = NAN;
    }
    attend(c.tile(), merged.output(), Merge::merge, scratch);
    for (int64_t i = 0; i < 3; ++i) CHECK(same_row(merged, replaced, i));
  });
}

template <class T>
void check_large_logits() {
  Scratch scratch;
  Random random(5);
  for (const double size : {1e2, 1e4, 1e8}) {
    AttentionCase<T> large(17, 33, 8, Visible::causal(3), random);
    AttentionCase<T> small(17, 9, 8, Visible::all(), random);
    large.query = PaddedMatrix<T>(17, 8, random, size);
    small.query = large.query;
    small.key = PaddedMatrix<T>(9, 8, random, 1 / size);
    AttendResult<T> result(17, 8);
    attend(large.tile(), result.output(), Merge::replace, scratch);
    INFO("queries of " << size);
    CHECK(worst_error<T>({&large}, result) <= 1.0);
    attend(small.tile(), result.output(), Merge::merge, scratch);
    CHECK(worst_error<T>({&large, &small}, result) <= 1.0);
    attend(small.tile(), result.output(), Merge::replace, scratch);
    attend(large.tile(), result.output(), Merge::merge, scratch);
    CHECK(worst_error<T>({&large, &small}, result) <= 1.0);
  }
}

TEST_CASE("Large logits neither overflow nor vanish") {
  for_each_instruction_set([] {
    check_large_logits<float>();
    check_large_logits<bfloat16>();
  });
}

template <class T>
void check_hidden_keys() {
  Scratch scratch;
  Random random(6);
  const AttentionCase<T> c(33, 33, 8, Visible::causal(), random);
  AttendResult<T> before(33, 8);
  attend(c.tile(), before.output(), Merge::replace, scratch);
  for (const int64_t from : {1, 7, 16, 20, 32}) {
    AttentionCase<T> changed = c;
    for (int64_t j = from; j < 33; ++j)
      for (int64_t d = 0; d < 8; ++d) {
        changed.key.at(j, d) = from_double<T>(random.normal(1e17));
        changed.value.at(j, d) = from_double<T>(random.normal(1e37));
      }
    AttendResult<T> after(33, 8);
    attend(changed.tile(), after.output(), Merge::replace, scratch);
    INFO("keys from " << from);
    size_t different = 0;
    for (int64_t i = 0; i < from; ++i)
      if (!same_row(before, after, i)) ++different;
    CHECK(different == 0);
    CHECK(!same_row(before, after, from));
  }
}

TEST_CASE("The contents of hidden keys do not change a bit") {
  for_each_instruction_set([] {
    check_hidden_keys<float>();
    check_hidden_keys<bfloat16>();
  });
}

// Several heads side by side must agree with each head alone.
template <class T>
void check_heads() {
  constexpr int64_t kHeads = 3, kQueries = 37, kKeys = 70;
  Scratch scratch;
  Random random(9);
  for (const int64_t head_dim : {3, 32, 40, 64})
    for (const Visible& visible : {Visible::all(), Visible::causal(30), Visible::strict()}) {
      const AttentionCase<T> c(kQueries, kKeys, kHeads * head_dim, visible, random);
      AttentionTile<T> tile = c.tile();
      tile.heads = kHeads;
      tile.head_dim = head_dim;
      AttendResult<T> result(kQueries, head_dim, kHeads);
      attend(tile, result.output(), Merge::replace, scratch);
      int64_t different = 0;
      for (int64_t h = 0; h < kHeads; ++h) {
        AttentionTile<T> head = c.tile();
        head.query += h * head_dim;
        head.key += h * head_dim;
        head.value += h * head_dim;
        head.head_dim = head_dim;
        head.scale = tile.scale;
        AttendResult<T> alone(kQueries, head_dim);
        attend(head, alone.output(), Merge::replace, scratch);
        for (int64_t i = 0; i < kQueries; ++i) {
          if (alone.lse(i, 0) != result.lse(i, h)) ++different;
          for (int64_t d = 0; d < head_dim; ++d)
            if (alone.out(i, d) != result.out(i, h * head_dim + d)) ++different;
        }
      }
      INFO("heads of " << head_dim << ", visible " << visible.first << " + " << visible.step
                       << " i");
      CHECK(different == 0);
      CHECK(result.consistent());
    }
}

TEST_CASE("attend of heads side by side equals attend of each head") {
  for_each_instruction_set([] {
    check_heads<float>();
    check_heads<bfloat16>();
  });
}

// Keys or values in 8 bits. Their scales are powers of two, so their products with the scales are
// exact in bfloat16.
struct Int8Rows {
  std::vector<int8_t> whole;
  std::vector<float> scales;
  int64_t dim;

  Int8Rows(int64_t rows, int64_t dim_, Random& random) : dim(dim_) {
    const auto size = static_cast<size_t>(rows * dim);
    for (const float v : random.normals(size))
      whole.push_back(static_cast<int8_t>(std::clamp(std::lrint(40 * v), -127l, 127l)));
    for (int64_t i = 0; i < rows; ++i) scales.push_back(i % 3 == 0 ? 0x1p-5f : 0x1p-6f);
  }
  float operator()(int64_t i, int64_t d) const {
    return whole[static_cast<size_t>(i * dim + d)] * scales[static_cast<size_t>(i)];
  }
};

// One position and the spans of keys that it attends to, laid out as in decoding: all heads side by
// side, and possibly one span in 8 bits.
template <class T>
class SpansCase {
 public:
  SpansCase(int64_t heads, int64_t head_dim, const std::vector<int64_t>& keys, int64_t int8_keys,
            Random& random)
      : heads_(heads),
        head_dim_(head_dim),
        keys_(keys),
        int8_keys_(int8_keys),
        query_(1, dim(), random),
        int8_key_(int8_keys, dim(), random),
        int8_value_(int8_keys, dim(), random),
        out_(static_cast<size_t>(dim())) {
    for (const int64_t n : keys) {
      key_.emplace_back(n, dim(), random);
      value_.emplace_back(n, dim(), random);
    }
    for (size_t line = 0; line < keys.size(); ++line)
      lines_.push_back({key_[line].view().data, key_[line].view().stride, value_[line].view().data,
                        value_[line].view().stride, keys[line]});
  }
  SpansCase(SpansCase&&) = default;  // and no copies, whose lines would be those of the original

  // Its output goes into this object.
  DecodedPosition<T> position() {
    const Int8KvSpan int8{
        {int8_key_.whole.data(), dim(), int8_value_.whole.data(), dim(), int8_keys_},
        int8_key_.scales.data(),
        int8_value_.scales.data()};
    return {query_.view().data, heads_, lines_, int8, out_.data()};
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim_)); }

  double worst_error(Random& random) const {
    ErrorBounds bounds;
    for (int64_t h = 0; h < heads_; ++h) {
      std::vector<AttentionCase<T>> parts;
      const auto copy_head = [&](const PaddedMatrix<T>& from, PaddedMatrix<T>& to) {
        for (int64_t i = 0; i < to.view().rows; ++i)
          for (int64_t d = 0; d < head_dim_; ++d)
            to.at(i, d) = from.view().row(i)[h * head_dim_ + d];
      };
      for (size_t line = 0; line < keys_.size(); ++line) {
        AttentionCase<T>& part =
            parts.emplace_back(1, keys_[line], head_dim_, Visible::all(), random);
        copy_head(query_, part.query);
        copy_head(key_[line], part.key);
        copy_head(value_[line], part.value);
      }
      AttentionCase<T>& part = parts.emplace_back(1, int8_keys_, head_dim_, Visible::all(), random);
      copy_head(query_, part.query);
      double most_key = 0, most_value = 0, most_query = 0;
      for (int64_t d = 0; d < head_dim_; ++d)
        most_query = std::max<double>(most_query, std::abs(part.query(0, d)));
      for (int64_t i = 0; i < int8_keys_; ++i) {
        double sum = 0;
        for (int64_t d = 0; d < head_dim_; ++d) {
          part.key.at(i, d) = from_double<T>(int8_key_(i, h * head_dim_ + d));
          part.value.at(i, d) = from_double<T>(int8_value_(i, h * head_dim_ + d));
          sum += std::abs(part.key(i, d));
          most_value = std::max<double>(most_value, std::abs(part.value(i, d)));
        }
        most_key = std::max(most_key, sum);
      }
      // With tile registers, 8-bit keys are multiplied by a query rounded to whole numbers up to
      // 127 x 128. This shifts a logit by at most off_by; it shifts the key's weight, and the sum
      // of all weights, by as much again. The weights of 8-bit values are rounded to whole numbers
      // up to 32767, relative to the largest scale, which is at most twice any other.
      const double off_by = scale() * most_key * most_query / (2 * 127 * 128);
      const double of_weights = static_cast<double>(int8_keys_) * most_value / 32767;

      std::vector<const AttentionCase<T>*> pointers;
      for (const AttentionCase<T>& p : parts) pointers.push_back(&p);
      const Attended expected = attended(pointers, 0, weight_rounding<T>() + 2 * off_by);
      for (int64_t d = 0; d < head_dim_; ++d)
        bounds.add(out_[static_cast<size_t>(h * head_dim_ + d)],
                   expected.out[static_cast<size_t>(d)],
                   expected.out_error[static_cast<size_t>(d)] + of_weights);
    }
    return bounds.worst();
  }

 private:
  int64_t dim() const { return heads_ * head_dim_; }

  int64_t heads_, head_dim_;
  std::vector<int64_t> keys_;
  int64_t int8_keys_;
  PaddedMatrix<T> query_;
  Int8Rows int8_key_, int8_value_;
  std::vector<PaddedMatrix<T>> key_, value_;
  std::vector<KvSpan<T>> lines_;
  std::vector<float> out_;
};

template <class T>
void check_spans(int64_t heads, int64_t head_dim, const std::vector<int64_t>& keys,
                 int64_t int8_keys, Random& random) {
  SpansCase<T> c(heads, head_dim, keys, int8_keys, random);
  const DecodedPosition<T> position = c.position();
  Scratch scratch;
  attend_spans<T>({&position, 1}, head_dim, c.scale(), scratch);
  INFO(heads << " heads of " << head_dim << ", " << int8_keys << " keys in 8 bits");
  CHECK(c.worst_error(random) <= 1.0);
}

TEST_CASE("attend_spans is one softmax over the keys of all spans, for each head") {
  for_each_instruction_set([] {
    Random random(8);
    const auto check = [&](int64_t heads, int64_t head_dim, const std::vector<int64_t>& keys,
                           int64_t int8_keys) {
      check_spans<float>(heads, head_dim, keys, int8_keys, random);
      check_spans<bfloat16>(heads, head_dim, keys, int8_keys, random);
    };
    for (const int64_t heads : {1, 3})
      for (const int64_t head_dim : kHeadDims)
        for (const std::vector<int64_t>& keys :
             {std::vector<int64_t>{1}, {3, 8}, {4, 1, 33}, {2, 2, 2, 2}})
          for (const int64_t int8_keys : {0, 1, 16, 37}) check(heads, head_dim, keys, int8_keys);
    // Tile registers take four heads, 32 features and 16 keys at a time.
    for (const int64_t heads : {1, 3, 4, 5, 9})
      for (const int64_t head_dim : {64, 96})
        for (const int64_t int8_keys : {1, 17}) check(heads, head_dim, {4, 1, 17}, int8_keys);
  });
}

template <class T>
void check_positions() {
  for (const int64_t head_dim : {20, 64}) {
    Random random(11);
    std::vector<SpansCase<T>> cases;
    cases.emplace_back(5, head_dim, std::vector<int64_t>{4, 1, 33}, 37, random);
    cases.emplace_back(1, head_dim, std::vector<int64_t>{3, 8}, 0, random);
    cases.emplace_back(4, head_dim, std::vector<int64_t>{17}, 1, random);
    std::vector<DecodedPosition<T>> positions;
    for (SpansCase<T>& c : cases) positions.push_back(c.position());
    Scratch scratch;
    attend_spans<T>(positions, head_dim, cases.front().scale(), scratch);
    INFO("heads of " << head_dim);
    for (const SpansCase<T>& c : cases) CHECK(c.worst_error(random) <= 1.0);
  }
}

TEST_CASE("attend_spans keeps the positions of one call apart") {
  for_each_instruction_set([] {
    check_positions<float>();
    check_positions<bfloat16>();
  });
}

constexpr int64_t kOddHeadDims[] = {1, 3, 8, 15, 16, 17, 20, 40, 100};

TEST_CASE("attend_spans has the same bits on every instruction set with fused multiply-add") {
  constexpr int64_t kHeads = 3;
  for (const int64_t head_dim : kOddHeadDims)
    for (const int64_t keys : {1, 2, 3, 7, 15, 16, 17, 33, 100}) {
      INFO(keys << " keys of " << head_dim);
      check_same_bits([&] {
        Random random(3);
        const int64_t dim = kHeads * head_dim;
        const PaddedMatrix<float> query(1, dim, random), key(keys + 1, dim, random),
            value(keys + 1, dim, random);
        const auto span = [&](int64_t first, int64_t count) {
          return KvSpan<float>{key.view().row(first), key.view().stride, value.view().row(first),
                               value.view().stride, count};
        };
        const KvSpan<float> spans[] = {span(0, keys), span(keys, 1)};
        std::vector<float> out(static_cast<size_t>(dim));
        const DecodedPosition<float> position{query.view().data, kHeads, spans, {}, out.data()};
        Scratch scratch;
        attend_spans<float>({&position, 1}, head_dim, 0.3f, scratch);
        return out;
      });
    }
}

TEST_CASE("attend has the same bits on every instruction set with fused multiply-add") {
  for (const int64_t head_dim : kOddHeadDims)
    for (const int64_t keys : {1, 3, 15, 16, 17, 33, 100})
      for (const int64_t queries : {1, 3, 17})
        for (const Visible visible : {Visible::all(), Visible::causal(1)}) {
          INFO(queries << " queries, " << keys << " keys of " << head_dim);
          check_same_bits([&] {
            Random random(4);
            const AttentionCase<float> c(queries, keys, head_dim, visible, random);
            AttendResult<float> result(queries, head_dim);
            Scratch scratch;
            attend(c.tile(), result.output(), Merge::replace, scratch);
            std::vector<float> results = result.out.elements();
            const std::vector<float> lse = result.lse.elements();
            results.insert(results.end(), lse.begin(), lse.end());
            return results;
          });
        }
}

TEST_CASE("Scratch left over from another tile does not matter") {
  for_each_instruction_set([] {
    Random random(7);
    const AttentionCase<float> large(33, 64, 32, Visible::causal(), random);
    const AttentionCase<float> small(5, 7, 3, Visible::causal(), random);
    Scratch fresh, used;
    AttendResult<float> expected(5, 3), actual(5, 3), ignored(33, 32);
    attend(small.tile(), expected.output(), Merge::replace, fresh);
    attend(large.tile(), ignored.output(), Merge::replace, used);
    attend(small.tile(), actual.output(), Merge::replace, used);
    for (int64_t i = 0; i < 5; ++i) CHECK(same_row(actual, expected, i));
  });
}

}  // namespace
}  // namespace combiner
