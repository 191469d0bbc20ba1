/* The allocator of a component: memory is taken and never given back, because every call gets a new
 * instance. It keeps literals safe, too: the generated code frees what a plugin answers. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PAGE = 65536, ALIGNMENT = 16 };

extern unsigned char __heap_base;
static uintptr_t next, end;

void *aligned_alloc(size_t alignment, size_t size) {
  if (next == 0) {
    next = (uintptr_t)&__heap_base;
    end = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
  }
  alignment = alignment < ALIGNMENT ? ALIGNMENT : alignment;
  /* Before each block stands its size, for `realloc`. */
  uintptr_t start = (next + ALIGNMENT + alignment - 1) & ~(uintptr_t)(alignment - 1);
  if (start < next || size > UINTPTR_MAX - start) {
    return NULL;
  }
  if (start + size > end) {
    size_t pages = (start + size - end + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) {
      return NULL;
    }
    end += pages * PAGE;
  }
  next = start + size;
  ((size_t *)start)[-1] = size;
  return (void *)start;
}

void *malloc(size_t size) { return aligned_alloc(ALIGNMENT, size); }

void *calloc(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) {
    return NULL;
  }
  /* Fresh memory is zero, and none is ever used twice. */
  return malloc(total);
}

void *realloc(void *block, size_t size) {
  if (block == NULL) {
    return malloc(size);
  }
  size_t before = ((size_t *)block)[-1];
  if (size <= before) {
    return block;
  }
  void *larger = malloc(size);
  return larger == NULL ? NULL : memcpy(larger, block, before);
}

void free(void *block) { (void)block; }

/* The contract is described by `wavegate plugin build`, not by an object file. */
void __component_type_object_force_link_strategy_plugin(void) {}
void __component_type_object_force_link_gate_plugin(void) {}
