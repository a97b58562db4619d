// Preloaded into a program (LD_PRELOAD), makes calls of one kind fail, as a full disk, a broken one
// or a lack of memory would.
//
// FAIL_CALL=kind:3 fails the third call of a kind, kind:3+ also all that follow, kind:0 none.
// FAIL_CALL_COUNT names a file that gets the number of the calls, FAIL_CALL_TRACE one that gets the
// functions in which the first failed, and those in which the program crashed. Only calls while
// main runs count, and not those of the dynamic loader and of libraries that it initialises. Kinds,
// and how they fail:
//   write        no space; standard error is left alone
//   short-write  half of the bytes are written, which is no error
//   stopped-write  interrupted by a signal before anything is written, which is no error either
//   sync, rename   an input/output error; linking a name counts as renaming
//   open         too many open files
//   map, allocate  not enough memory
//   thread       no resources for it
//
// A program that hangs is ended by SIGALRM, and the trace then also says in which functions its
// threads were.
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <iterator>

namespace {

constexpr unsigned kMostSeconds = 60;

constexpr const char* kKinds[] = {"write", "short-write", "stopped-write", "sync",    "rename",
                                  "open",  "map",         "thread",        "allocate"};
enum Kind { write_, short_write, stopped_write, sync_, rename_, open_, map_, thread_, allocate };

int planned_kind = -1;
long planned_call = 0;
bool also_later = false;
std::atomic<bool> running{false};
std::atomic<long> calls{0};

void read_plan() {
  const char* const text = getenv("FAIL_CALL");
  const char* const colon = text ? strchr(text, ':') : nullptr;
  if (!colon) return;
  const auto length = static_cast<size_t>(colon - text);
  for (int i = 0; i < static_cast<int>(std::size(kKinds)); ++i)
    if (strlen(kKinds[i]) == length && strncmp(kKinds[i], text, length) == 0) planned_kind = i;
  char* end = nullptr;
  planned_call = strtol(colon + 1, &end, 10);
  also_later = *end == '+';
}

// Opens the file that an environment variable names; returns -1 if there is none.
int open_named(const char* variable, int flags) {
  const char* const path = getenv(variable);
  if (!path) return -1;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | flags, 0666));
}

void write_count() {
  const int file = open_named("FAIL_CALL_COUNT", O_TRUNC);
  if (file < 0) return;
  char digits[24];
  char* first = digits + sizeof digits;
  for (long rest = calls; first == digits + sizeof digits || rest > 0; rest /= 10)
    *--first = static_cast<char>('0' + rest % 10);
  syscall(SYS_write, file, first, digits + sizeof digits - first);
  syscall(SYS_close, file);
}

void write_trace(const char* title) {
  const int file = open_named("FAIL_CALL_TRACE", O_APPEND);
  if (file < 0) return;
  running = false;  // tracing allocates and writes
  syscall(SYS_write, file, title, strlen(title));
  void* frames[24];
  backtrace_symbols_fd(frames, backtrace(frames, static_cast<int>(std::size(frames))), file);
  running = true;
  syscall(SYS_close, file);
}

void on_crash(int signal) {
  write_trace("crashed in\n");
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void on_hang_of_thread(int) { write_trace("hung in\n"); }

// Has all other threads say where they are, one after the other.
void on_hang(int signal) {
  constexpr useconds_t kPause = 50'000;
  constexpr int kMostIds = 1 << 16;  // after the process's, among which those of threads are
  running = false;
  ::signal(SIGUSR2, on_hang_of_thread);
  const pid_t process = getpid();
  for (pid_t thread = process; thread < process + kMostIds; ++thread)
    if (thread != gettid() && syscall(SYS_tgkill, process, thread, SIGUSR2) == 0) usleep(kPause);
  on_hang_of_thread(signal);
  ::signal(signal, SIG_DFL);
  raise(signal);
}

bool fails(Kind kind) {
  if (kind != planned_kind || !running) return false;
  const long call = ++calls;
  if (call == planned_call) write_trace("failed in\n");
  return call == planned_call || (also_later && planned_call > 0 && call > planned_call);
}

bool fails(Kind kind, int error) {
  if (!fails(kind)) return false;
  errno = error;
  return true;
}

bool write_fails(int file) {
  return file != STDERR_FILENO && (fails(write_, ENOSPC) || fails(stopped_write, EINTR));
}

size_t bytes_to_write(int file, size_t bytes) {
  return file != STDERR_FILENO && fails(short_write) && bytes > 1 ? bytes / 2 : bytes;
}

int open_file(int folder, const char* path, int flags, mode_t mode) {
  if (fails(open_, EMFILE)) return -1;
  return static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}

using Main = int (*)(int, char**, char**);
Main program_main = nullptr;

int watched_main(int argc, char** argv, char** environment) {
  alarm(kMostSeconds);
  signal(SIGABRT, on_crash);
  signal(SIGSEGV, on_crash);
  signal(SIGALRM, on_hang);
  running = true;
  const int result = program_main(argc, argv, environment);
  running = false;
  write_count();
  return result;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

// Libraries that are loaded may not survive a failure while they are initialised.
void* dlopen(const char* path, int flags) noexcept {
  static const auto open_library = next<void* (*)(const char*, int)>("dlopen");
  const bool was_running = running.exchange(false);
  void* const library = open_library(path, flags);
  running = was_running;
  return library;
}

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*loader_fini)(), void* stack_end) {
  program_main = main;
  read_plan();
  return next<int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*)>(
      "__libc_start_main")(watched_main, argc, argv, init, fini, loader_fini, stack_end);
}

void* malloc(size_t bytes) { return fails(allocate, ENOMEM) ? nullptr : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) {
  return fails(allocate, ENOMEM) ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) {
  return fails(allocate, ENOMEM) ? nullptr : __libc_realloc(block, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  return fails(allocate, ENOMEM) ? nullptr : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  if (fails(allocate)) return ENOMEM;
  void* const memory = __libc_memalign(alignment, bytes);
  if (!memory) return ENOMEM;
  *block = memory;
  return 0;
}

ssize_t write(int file, const void* bytes, size_t size) {
  if (write_fails(file)) return -1;
  return syscall(SYS_write, file, bytes, bytes_to_write(file, size));
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t offset) {
  if (write_fails(file)) return -1;
  return syscall(SYS_pwrite64, file, bytes, bytes_to_write(file, size), offset);
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  return pwrite64(file, bytes, size, offset);
}
ssize_t writev(int file, const iovec* parts, int count) {
  if (write_fails(file)) return -1;
  // Writing the first part only is a short write.
  if (file != STDERR_FILENO && fails(short_write)) count = 1;
  return syscall(SYS_writev, file, parts, count);
}

int fsync(int file) { return fails(sync_, EIO) ? -1 : static_cast<int>(syscall(SYS_fsync, file)); }
int fdatasync(int file) {
  return fails(sync_, EIO) ? -1 : static_cast<int>(syscall(SYS_fdatasync, file));
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (fails(rename_, EIO)) return -1;
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  return renameat2(from_folder, from, to_folder, to, 0);
}
int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) {
  if (fails(rename_, EIO)) return -1;
  return static_cast<int>(syscall(SYS_linkat, from_folder, from, to_folder, to, flags));
}
int link(const char* from, const char* to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int openat64(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_file(folder, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) __attribute__((alias("openat64")));
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_file(AT_FDCWD, path, flags, mode);
}
int open(const char* path, int flags, ...) __attribute__((alias("open64")));

void* mmap64(void* address, size_t bytes, int protection, int flags, int file, off64_t offset) {
  if (fails(map_, ENOMEM)) return MAP_FAILED;
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}
void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  return mmap64(address, bytes, protection, flags, file, offset);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = next<Create>("pthread_create");
  return fails(thread_) ? EAGAIN : create(thread, attributes, start, argument);
}

}  // extern "C"
