// What no option that takes a number may take for one.
#pragma once

#include <string>
#include <vector>

namespace combiner {

inline const std::vector<std::string> kBadNumbers = {"",         " ",
                                                     " 3",       "3 ",
                                                     "3x",       "x",
                                                     "0x10",     "3,5",
                                                     "1e",       "--3",
                                                     "+3",       "nan",
                                                     "inf",      "-inf",
                                                     "1e999",    "true",
                                                     "\xd9\xa3",  // an Arabic 3
                                                     "3\n",      std::string(400, '9')};

}  // namespace combiner
