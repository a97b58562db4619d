// cpp-httplib, whose versions differ.
#pragma once

#include <httplib.h>

#include <functional>
#include <type_traits>
#include <utility>

namespace combiner {

// What TaskQueue::enqueue returns: nothing in old versions, bool in new ones.
using Enqueued =
    decltype(std::declval<httplib::TaskQueue&>().enqueue(std::declval<std::function<void()>>()));

}  // namespace combiner
