/* engine_process MODEL THREADS OPENS RUNS: what the engine costs a C program, as one JSON object on standard output:
 * every time of opening the file (the first one is that of a process that has nothing of it in memory yet), of the first
 * inference after it, and of the inferences after the last one; and the memory that is resident then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cxr_edge_engine.h"

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

/* A number of kB from /proc/self/status in megabytes of 2^20 bytes, or -1 where there is none. */
static double memory_mb(const char *name) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  double found = -1.0;
  if (file == NULL) return found;
  while (found < 0.0 && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0) found = strtod(line + strlen(name), NULL) / 1024.0;
  }
  fclose(file);
  return found;
}

static void print_times(const char *name, const double *times, int count) {
  printf("  \"%s\": [", name);
  for (int k = 0; k < count; ++k) printf("%s%.4f", k == 0 ? "" : ", ", times[k]);
  printf("],\n");
}

static int infer(cxr_edge_engine *engine, double *ms) {
  static float image[4096 * 4096], logit[256], cam[1 << 20];
  const double begin = now_ms();
  const cxr_edge_status status = cxr_edge_engine_infer(engine, image, logit, cam);
  *ms = now_ms() - begin;
  if (status != CXR_EDGE_OK) fprintf(stderr, "engine_process: %s\n", cxr_edge_status_message(status));
  return status == CXR_EDGE_OK;
}

/* Opens `opens` times and leaves the last engine open; null after a failure. */
static cxr_edge_engine *opened(const char *path, uint32_t threads, int opens, double *open_ms, double *first_ms) {
  cxr_edge_engine *engine = NULL;
  for (int k = 0; k < opens; ++k) {
    char detail[256];
    cxr_edge_engine_close(engine);
    const double begin = now_ms();
    if (cxr_edge_engine_open_file(path, threads, CXR_EDGE_KERNEL_BEST, &engine, detail, sizeof detail) != CXR_EDGE_OK) {
      fprintf(stderr, "engine_process: %s\n", detail);
      return NULL;
    }
    open_ms[k] = now_ms() - begin;
    if (!infer(engine, &first_ms[k])) {
      cxr_edge_engine_close(engine);
      return NULL;
    }
  }
  return engine;
}

static int measure(const char *path, uint32_t threads, int opens, int runs, double *times) {
  double *open_ms = times, *first_ms = times + opens, *inference_ms = times + 2 * opens;
  cxr_edge_engine *engine = opened(path, threads, opens, open_ms, first_ms);
  int good = engine != NULL;
  for (int k = 0; good && k < runs; ++k) good = infer(engine, &inference_ms[k]);
  if (good) {
    printf("{\n  \"threads\": %u,\n  \"kernel\": \"%s\",\n", threads, cxr_edge_kernel_name(CXR_EDGE_KERNEL_BEST));
    print_times("open_ms", open_ms, opens);
    print_times("first_ms", first_ms, opens);
    print_times("inference_ms", inference_ms, runs);
    printf("  \"rss_mb\": %.2f,\n  \"peak_mb\": %.2f\n}\n", memory_mb("VmRSS:"), memory_mb("VmHWM:"));
  }
  cxr_edge_engine_close(engine);
  return good ? 0 : 1;
}

int main(int argc, char **argv) {
  const int opens = argc == 5 ? atoi(argv[3]) : 0, runs = argc == 5 ? atoi(argv[4]) : 0;
  if (opens < 1 || runs < 1 || opens > 100000 || runs > 1000000) {
    fprintf(stderr, "usage: engine_process MODEL THREADS OPENS RUNS\n");
    return 2;
  }
  double *times = malloc(sizeof *times * ((size_t)2 * (size_t)opens + (size_t)runs));
  if (times == NULL) return 1;
  const int code = measure(argv[1], (uint32_t)strtoul(argv[2], NULL, 10), opens, runs, times);
  free(times);
  return code;
}
