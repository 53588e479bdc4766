#include "tflm/common/arena.h"

#include "model_arena.h"

static_assert(kModelArenaSize > 0 && kModelArenaSize % 16 == 0, "the arena is in blocks of 16");

const int kArenaSize = kModelArenaSize;
alignas(16) __attribute__((section(".bss.arena"))) unsigned char g_arena[kModelArenaSize];
