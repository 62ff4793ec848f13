/* CHECK() counts and prints what does not hold; main returns the count. */
#ifndef CXR_EDGE_TESTS_CHECK_H
#define CXR_EDGE_TESTS_CHECK_H

#include <stdio.h>

static int failures = 0;

#define CHECK(condition, ...)                                         \
  do {                                                                \
    if (!(condition)) {                                               \
      ++failures;                                                     \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      fprintf(stderr, __VA_ARGS__);                                   \
      fputc('\n', stderr);                                            \
    }                                                                 \
  } while (0)

#endif
