// Every position of a 64 x 64 grid attends to all others, at the cost of a few hundred keys each.
#include <combiner/attention.h>

#include <cstdio>
#include <vector>

int main() {
  const combiner::AttentionShape shape{.rows = 64, .columns = 64, .dim = 256, .heads = 8};
  combiner::AttentionLayer attention(combiner::Attention::axial_mixture, shape,
                                     combiner::Direction::bidirectional);
  std::vector<float> x(64 * 64 * 256), out(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 251) / 251;
  const combiner::Matrix<const float> in(x.data(), shape.positions(), shape.dim);
  attention.forward({.query = in, .key = in, .value = in}, {out.data(), in.rows, in.columns});
  std::printf("the first position: %.3f %.3f %.3f ...\n", out[0], out[1], out[2]);
}
