/*
 * kernel_portable.c: kernels for any CPU, and the oracle of the others.
 */
#include "postgres.h"

#include "distance/kernel.h"

#define VK_ISA				portable
#define VK_WIDTH			4
#define VK_FOLD(reg)		(reg)
#include "distance/kernel_isa.h"
