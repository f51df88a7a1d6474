/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What AddressSanitizer is told about memory that we hand out ourselves: bytes
 * of free objects are poisoned. Nothing in builds without it.
 */
#ifndef BLOCKCORE_BASE_ASAN_H
#define BLOCKCORE_BASE_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define CAIRN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAIRN_ASAN 1
#endif
#endif

#ifdef CAIRN_ASAN
#include <sanitizer/asan_interface.h>
#define asan_poison(data, bytes) ASAN_POISON_MEMORY_REGION(data, bytes)
#define asan_unpoison(data, bytes) ASAN_UNPOISON_MEMORY_REGION(data, bytes)
#else
#define asan_poison(data, bytes) ((void)(data), (void)(bytes))
#define asan_unpoison(data, bytes) ((void)(data), (void)(bytes))
#endif

#endif
