/*-------------------------------------------------------------------------
 *
 * farmhash.h
 *	  FarmHash, the 64-bit variant upstream spreads data points over shards by.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_FARMHASH_H
#define VK_FARMHASH_H

#include <stddef.h>
#include <stdint.h>

/* The same on every machine; plain C without PostgreSQL. */
extern uint64_t vk_farmhash64(const unsigned char *data, size_t len);

#endif							/* VK_FARMHASH_H */
