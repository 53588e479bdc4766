// Including it brings the library into a sketch. It holds what the library is compiled with, because
// the Arduino builder has no options for that; each of the library's files includes it first.

#ifndef TENSORFLOW_LITE_H_
#define TENSORFLOW_LITE_H_

// No heap: tensors and buffers lie in the arena.
#ifndef TF_LITE_STATIC_MEMORY
#define TF_LITE_STATIC_MEMORY
#endif

// Fatal errors go through DebugLog(), which the sketch defines (console.cpp).
#ifndef TF_LITE_MCU_DEBUG_LOG
#define TF_LITE_MCU_DEBUG_LOG
#endif

// gemmlowp refuses to compile without vector instructions otherwise.
#ifndef GEMMLOWP_ALLOW_SLOW_SCALAR_FALLBACK
#define GEMMLOWP_ALLOW_SLOW_SCALAR_FALLBACK
#endif

#endif  // TENSORFLOW_LITE_H_
