// The host's side of the null CUDA device, which is loaded in front of it: pinned memory is known as such, copies from and
// to other memory are counted, the host reads chosen values, because no kernel has computed any, and cuDNN names an
// algorithm, with a search or without one.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

enum { TO_DEVICE = 1, TO_HOST = 2, PINNED = 1, MOST = 65536 };
struct attributes { int type, device; void *on_device, *on_host; long reserved[8]; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { char *start; size_t bytes; } pinned[MOST];
static int known = 0;
static long pageable = 0;

static int is_pinned(const void *pointer) {
  pthread_mutex_lock(&lock);
  int found = 0;
  for (int i = 0; i < known && !found; i++)
    found = (char *)pointer >= pinned[i].start && (char *)pointer < pinned[i].start + pinned[i].bytes;
  pthread_mutex_unlock(&lock);
  return found;
}

static void copied(void *to, const void *from, size_t bytes, int kind) {
  if (kind == TO_HOST) // up to three bytes are flags, which are true; longer values are 0
    memset(to, bytes < 4, bytes);
  if ((kind == TO_DEVICE && !is_pinned(from)) || (kind == TO_HOST && !is_pinned(to)))
    __atomic_add_fetch(&pageable, 1, __ATOMIC_RELAXED);
}

// The number of copies so far between the device and memory that is not pinned.
long host_pageable_copies(void) { return pageable; }

int cudaHostAlloc(void **pointer, size_t bytes, unsigned flags) {
  int (*next)(void **, size_t, unsigned) = dlsym(RTLD_NEXT, "cudaHostAlloc");
  int status = next(pointer, bytes, flags);
  pthread_mutex_lock(&lock);
  if (known < MOST) {
    pinned[known].start = *pointer;
    pinned[known++].bytes = bytes;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

int cudaFreeHost(void *pointer) {
  int (*next)(void *) = dlsym(RTLD_NEXT, "cudaFreeHost");
  pthread_mutex_lock(&lock);
  for (int i = 0; i < known; i++)
    if (pinned[i].start == pointer) {
      pinned[i] = pinned[--known];
      break;
    }
  pthread_mutex_unlock(&lock);
  return next(pointer);
}

int cudaPointerGetAttributes(struct attributes *found, const void *pointer) {
  int (*next)(struct attributes *, const void *) = dlsym(RTLD_NEXT, "cudaPointerGetAttributes");
  int status = next(found, pointer);
  if (is_pinned(pointer)) {
    found->type = PINNED;
    found->on_host = (void *)pointer;
  }
  return status;
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
  int (*next)(void *, const void *, size_t, int, void *) = dlsym(RTLD_NEXT, "cudaMemcpyAsync");
  int status = next(to, from, bytes, kind, stream);
  copied(to, from, bytes, kind);
  return status;
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int kind) {
  int (*next)(void *, const void *, size_t, int) = dlsym(RTLD_NEXT, "cudaMemcpy");
  int status = next(to, from, bytes, kind);
  copied(to, from, bytes, kind);
  return status;
}

struct algorithm { int algorithm, status; float time; size_t memory; int determinism, math, reserved[3]; };
enum { FULL_PRECISION = 3 }; // the mathematics of an algorithm without TF32, which torch insists on in float32

static int first_algorithm(int *count, struct algorithm *found) {
  *count = 1;
  memset(found, 0, sizeof *found);
  found->algorithm = found->determinism = 1;
  found->math = FULL_PRECISION;
  return 0;
}

#define CHOICE(name)                                                                                                   \
  int name(void *a, void *b, void *c, void *d, void *e, int most, int *count, struct algorithm *found) {               \
    return first_algorithm(count, found);                                                                              \
  }
CHOICE(cudnnGetConvolutionForwardAlgorithm_v7)
CHOICE(cudnnGetConvolutionBackwardDataAlgorithm_v7)
CHOICE(cudnnGetConvolutionBackwardFilterAlgorithm_v7)

#define SEARCH(name)                                                                                                   \
  int name(void *a, void *b, void *c, void *d, void *e, void *f, void *g, void *h, int most, int *count,              \
           struct algorithm *found, void *workspace, size_t bytes) {                                                   \
    return first_algorithm(count, found);                                                                              \
  }
SEARCH(cudnnFindConvolutionForwardAlgorithmEx)
SEARCH(cudnnFindConvolutionBackwardDataAlgorithmEx)
SEARCH(cudnnFindConvolutionBackwardFilterAlgorithmEx)
