/* A CUDA driver that answers questions and computes nothing. The environment says what it answers:
   STAND_IN_GPU = name:major:minor:integrated:total MiB:free MiB:count:status of cuInit.
   Where cuda.h is installed it is included, so that these prototypes are compared with the real ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef WITH_CUDA_H
#include <cuda.h>
#define STATUS CUresult CUDAAPI
#define DEVICE CUdevice
#define CONTEXT CUcontext
#define ATTRIBUTE CUdevice_attribute
#define RESULT CUresult
#else
#define STATUS int
#define DEVICE int
#define CONTEXT void *
#define ATTRIBUTE int
#define RESULT int
#endif

static struct {
    char name[64];
    int major, minor, integrated, count, init;
    size_t total, available;
} gpu;

static void look(void) {
    const char *text = getenv("STAND_IN_GPU");
    unsigned total = 0, available = 0;
    sscanf(text ? text : "Orin:8:7:1:7620:4000:1:0", "%63[^:]:%d:%d:%d:%u:%u:%d:%d", gpu.name, &gpu.major, &gpu.minor,
           &gpu.integrated, &total, &available, &gpu.count, &gpu.init);
    gpu.total = (size_t)total << 20;
    gpu.available = (size_t)available << 20;
}

STATUS cuInit(unsigned int flags) { (void)flags; look(); return (RESULT)gpu.init; }
STATUS cuDriverGetVersion(int *version) { *version = 12060; return (RESULT)0; }
STATUS cuDeviceGetCount(int *count) { *count = gpu.count; return (RESULT)0; }
STATUS cuDeviceGet(DEVICE *device, int ordinal) { *device = ordinal; return (RESULT)0; }
STATUS cuDeviceGetName(char *name, int size, DEVICE device) {
    (void)device;
    strncpy(name, gpu.name, (size_t)size);
    return (RESULT)0;
}
STATUS cuDeviceTotalMem_v2(size_t *bytes, DEVICE device) { (void)device; *bytes = gpu.total; return (RESULT)0; }
STATUS cuDeviceGetAttribute(int *value, ATTRIBUTE attribute, DEVICE device) {
    (void)device;
    *value = attribute == 18 ? gpu.integrated : attribute == 75 ? gpu.major : attribute == 76 ? gpu.minor : -1;
    return (RESULT)0;
}
STATUS cuDevicePrimaryCtxRetain(CONTEXT *context, DEVICE device) {
    (void)device;
    *context = (CONTEXT)&gpu;
    return (RESULT)0;
}
STATUS cuDevicePrimaryCtxRelease_v2(DEVICE device) { (void)device; return (RESULT)0; }
STATUS cuCtxPushCurrent_v2(CONTEXT context) { return (RESULT)(context == (CONTEXT)&gpu ? 0 : 201); }
STATUS cuCtxPopCurrent_v2(CONTEXT *context) { *context = (CONTEXT)&gpu; return (RESULT)0; }
STATUS cuMemGetInfo_v2(size_t *available, size_t *total) {
    *available = gpu.available;
    *total = gpu.total;
    return (RESULT)0;
}
STATUS cuGetErrorName(RESULT status, const char **name) {
    *name = status == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN";
    return (RESULT)0;
}
