/*
 * kernel_avx512.c: kernels for x86-64 with AVX-512 F, BW, DQ, VL (Makefile sets the flags).
 */
#include "postgres.h"

#include "distance/kernel.h"

#ifdef VK_HAVE_X86_KERNELS
#define VK_ISA				avx512
#include "distance/kernel_avx512.h"
#endif
