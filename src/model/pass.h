// What a pass over a model is for.
#pragma once

namespace combiner {

// Whether a backward pass follows, which wants to know more of what the forward pass computed.
enum class Pass { forward_only, both_ways };

}  // namespace combiner
