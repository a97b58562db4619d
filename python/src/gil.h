// Python's lock (GIL), given up for long work and taken again.
//
// Once Python ends, only the thread that ends it can have the lock. Others that ask for it wait for
// ever (from Python 3.14 on) or are ended by unwinding their stacks, which neither catch (...) nor
// destructors of Python's objects survive. So those threads stop here, and the process ends without
// them.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

namespace combiner {

// Whether Python ends. Needs no GIL.
inline bool python_ends() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// Calls what waits for the GIL. It must have no destructors to run, because those of Python's
// objects need the GIL.
template <class Function>
auto take_or_stop(const Function& function) {
  try {
    return function();
  } catch (const abi::__forced_unwind&) {
    for (;;) pause();  // to leave this block would end the process
  }
}

// Gives up the GIL for as long as it lives.
class WithoutGil {
 public:
  WithoutGil() : thread_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    take_or_stop([&] { PyEval_RestoreThread(thread_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  friend class WithGil;
  PyThreadState* thread_;
};

// Takes it again meanwhile, on the same thread.
class WithGil {
 public:
  explicit WithGil(const WithoutGil& without) {
    take_or_stop([&] { PyEval_RestoreThread(without.thread_); });
  }
  ~WithGil() { PyEval_SaveThread(); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;
};

// Calls what uses no object of Python's.
template <class Function>
auto without_gil(const Function& function) {
  const WithoutGil without;
  return function();
}

// Calls a function of Python's, which may let other threads run meanwhile.
inline pybind11::object call_python(const pybind11::object& function,
                                    const pybind11::tuple& given) {
  PyObject* const result =
      take_or_stop([&] { return PyObject_Call(function.ptr(), given.ptr(), nullptr); });
  if (!result) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

}  // namespace combiner
