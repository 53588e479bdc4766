// The memory that the interpreter hands out. Defined in a file of its own, so that nothing else is
// compiled again when only its size changes.

#ifndef TFLM_COMMON_ARENA_H_
#define TFLM_COMMON_ARENA_H_

// Aligned to 16 bytes and in the section .bss.arena, so that a board with several RAMs may say where it
// lies.
extern unsigned char g_arena[];

// Bytes of it, a multiple of 16.
extern const int kArenaSize;

#endif  // TFLM_COMMON_ARENA_H_
