/* poison.h -- tells the address sanitizer which memory of an allocator of ours is not handed out.
 *
 * Without it the sanitizer sees one large block where an arena or a slab has many small ones, and misses
 * what is used after it was given back. In builds without the sanitizer it costs nothing.
 *
 * Prefixes: POISON, UNPOISON, IS_POISONED
 * Thread: any. */
#ifndef WEIR_BASE_POISON_H
#define WEIR_BASE_POISON_H

#include <stdbool.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(HAS_ASAN)
#define HAS_ASAN 1
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(bytes_, size_)   ASAN_POISON_MEMORY_REGION((bytes_), (size_))
#define UNPOISON(bytes_, size_) ASAN_UNPOISON_MEMORY_REGION((bytes_), (size_))
#define IS_POISONED(bytes_)     (__asan_address_is_poisoned(bytes_) != 0)
#else
#define POISON(bytes_, size_)   ((void)(bytes_), (void)(size_))
#define UNPOISON(bytes_, size_) ((void)(bytes_), (void)(size_))
#define IS_POISONED(bytes_)     ((void)(bytes_), false)
#endif

#endif
