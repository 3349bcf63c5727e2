/*
 * kernel_neon.c: kernels for arm64, where NEON is always there.
 */
#include "postgres.h"

#include "distance/kernel.h"

#ifdef VK_HAVE_NEON_KERNELS
#include <arm_neon.h>

#define VK_ISA				neon
#define VK_WIDTH			4
#define VK_FOLD(reg)		(reg)
#define VK_LOAD_HALF(p) \
	((VkReg) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *) (p)))))
#include "distance/kernel_isa.h"
#endif
