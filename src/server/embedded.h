// The files that are built into the program.
#pragma once

#include <string_view>

namespace combiner {

std::string_view page_html();     // src/server/page/index.html
std::string_view openapi_json();  // src/server/page/openapi.json

}  // namespace combiner
