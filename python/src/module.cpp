#include "module.h"

#include "watched.h"

PYBIND11_MODULE(_combiner, module) {
  module.attr("__version__") = COMBINER_VERSION;
  combiner::wait_for_work_at_end();
  combiner::bind_errors(module);
  combiner::bind_models(module);
  combiner::bind_sessions(module);
  combiner::bind_codec(module);
  combiner::bind_attention(module);
  combiner::bind_pictures(module);
  combiner::bind_datasets(module);
  combiner::bind_weights(module);
  combiner::bind_training(module);
}
