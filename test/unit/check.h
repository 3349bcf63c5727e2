/*
 * check.h: what the unit tests share: a check that stops the program, a
 * generator of repeatable random numbers, and memory that ends at a guard page.
 */
#ifndef VK_UNIT_CHECK_H
#define VK_UNIT_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			exit(1); \
		} \
	} while (0)

/* xorshift64*: the same sequence everywhere. */
static uint64 random_state = 0x9e3779b97f4a7c15;

static inline uint64
random_bits(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1d;
}

/* Uniform in 0 .. n - 1. */
static inline int
random_below(int n)
{
	return (int) ((random_bits() >> 32) * (uint64) n >> 32);
}

/* Uniform in [-1, 1). */
static inline double
random_unit(void)
{
	return (double) (random_bits() >> 11) * 0x1p-52 - 1.0;
}

/*
 * size bytes that end where an inaccessible page begins: reading one byte
 * behind them is a fault.  Never freed.
 */
static inline char *
guarded_alloc(size_t size)
{
	size_t		page = sysconf(_SC_PAGESIZE);
	size_t		usable = (size + page - 1) / page * page;
	char	   *base = mmap(NULL, usable + page, PROT_READ | PROT_WRITE,
							MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(base != MAP_FAILED, "mmap");
	CHECK(mprotect(base + usable, page, PROT_NONE) == 0, "mprotect");
	return base + usable - size;
}

#endif							/* VK_UNIT_CHECK_H */
