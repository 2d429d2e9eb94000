// Mutexes with a rank. A thread takes them in rising rank only, so that they cannot dead-lock.
//
// Checked twice: by clang's thread-safety analysis (GUARDED_BY and friends) when compiled with clang, and at run
// time in builds with assertions, where each thread keeps the ranks that it holds.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define FLATIMG_ANNOTATION(x) __attribute__((x))
#else
#define FLATIMG_ANNOTATION(x)
#endif
#define CAPABILITY(x) FLATIMG_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY FLATIMG_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) FLATIMG_ANNOTATION(guarded_by(x))
#define REQUIRES(...) FLATIMG_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) FLATIMG_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) FLATIMG_ANNOTATION(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) FLATIMG_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) FLATIMG_ANNOTATION(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS FLATIMG_ANNOTATION(no_thread_safety_analysis)

namespace flatimg {

/// In the order in which they are taken. The map lock (view/range_lock.h) lies between Session and ImageState; it is
/// held across I/O and is therefore not one of these.
enum class Rank : unsigned char {
  Session,     // fuse: handles, inodes
  RangeLock,   // the bookkeeping of the map lock, never held while waiting for I/O
  Flush,       // who writes metadata now
  ImageState,  // one format's tables: L1, creation and copying of L2 tables
  Allocator,   // free space and refcounts
  CacheIndex,  // which table page is where
  Table,       // the bytes of one table page
  Queue,       // work queues, counters
  Log,
};

class CAPABILITY("mutex") Mutex {
 public:
  explicit Mutex(Rank rank) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() ACQUIRE() {
    note_taking();
    mutex_.lock();
  }
  /// False when somebody has it. The rank is checked all the same.
  [[nodiscard]] bool try_lock() TRY_ACQUIRE(true) {
    if (!mutex_.try_lock()) return false;
    note_taking();
    return true;
  }
  void unlock() RELEASE() {
    mutex_.unlock();
    note_released();
  }

 private:
#ifndef NDEBUG
  void note_taking() const;
  void note_released() const;
#else
  void note_taking() const {}
  void note_released() const {}
#endif
  std::mutex mutex_;
  [[maybe_unused]] Rank rank_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  /// Of one that this thread has by try_lock().
  MutexLock(Mutex& mutex, std::adopt_lock_t /*has it*/) REQUIRES(mutex) : mutex_(mutex) {}
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// Waits with a Mutex held: `condition.wait(mutex)`.
using Condition = std::condition_variable_any;

}  // namespace flatimg
