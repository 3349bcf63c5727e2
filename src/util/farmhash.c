/*-------------------------------------------------------------------------
 *
 * farmhash.c
 *	  FarmHash's Hash64 as its portable build computes it ("xo").
 *
 * Inputs are cut by length: up to 16 bytes, 32, 64, 96, 256, and longer ones,
 * each by a routine of its own.  All arithmetic is modulo 2^64 on
 * little-endian words.  A value must never change: it says on which shard a
 * point lies, here and in other programs.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <string.h>

#include "util/farmhash.h"

/* Primes between 2^63 and 2^64, of the algorithm. */
#define K0	UINT64_C(0xc3a5c85c97cb3127)
#define K1	UINT64_C(0xb492b66fbe98f273)
#define K2	UINT64_C(0x9ae16a3b2f90404f)

/* The seed of the routines for long inputs. */
#define SEED	81

#define BLOCK	64

typedef struct Pair
{
	uint64_t	first;
	uint64_t	second;
} Pair;

static uint64_t
word(const unsigned char *s)
{
	uint64_t	value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | s[i];
	return value;
}

static uint64_t
half_word(const unsigned char *s)
{
	return s[0] | (uint64_t) s[1] << 8 | (uint64_t) s[2] << 16 | (uint64_t) s[3] << 24;
}

static uint64_t
rotate(uint64_t value, int bits)
{
	return value >> bits | value << (64 - bits);
}

static uint64_t
shift_mix(uint64_t value)
{
	return value ^ value >> 47;
}

static void
swap(uint64_t *a, uint64_t *b)
{
	uint64_t	value = *a;

	*a = *b;
	*b = value;
}

static uint64_t
mix_two(uint64_t u, uint64_t v, uint64_t mul)
{
	uint64_t	a = shift_mix((u ^ v) * mul);

	return shift_mix((v ^ a) * mul) * mul;
}

static uint64_t
mix_two_rotated(uint64_t u, uint64_t v, uint64_t mul, int bits)
{
	uint64_t	a = shift_mix((u ^ v) * mul);

	return rotate((v ^ a) * mul, bits) * mul;
}

static uint64_t
hash_to_16(const unsigned char *s, size_t len)
{
	uint64_t	mul = K2 + len * 2;

	if (len >= 8)
	{
		uint64_t	a = word(s) + K2;
		uint64_t	b = word(s + len - 8);

		return mix_two(rotate(b, 37) * mul + a, (rotate(a, 25) + b) * mul, mul);
	}
	if (len >= 4)
		return mix_two(len + (half_word(s) << 3), half_word(s + len - 4), mul);
	if (len > 0)
	{
		uint64_t	y = s[0] + ((uint64_t) s[len >> 1] << 8);
		uint64_t	z = len + ((uint64_t) s[len - 1] << 2);

		return shift_mix(y * K2 ^ z * K0) * K2;
	}
	return K2;
}

/* What the routines up to 96 bytes have in common: two sums over the ends of a piece. */
static Pair
sums_of_32(const unsigned char *s, size_t len, uint64_t mul)
{
	uint64_t	a = word(s) * K1;
	uint64_t	b = word(s + 8);
	uint64_t	c = word(s + len - 8) * mul;
	uint64_t	d = word(s + len - 16) * K2;

	return (Pair)
	{
		rotate(a + b, 43) + rotate(c, 30) + d, a + rotate(b + K2, 18) + c
	};
}

static uint64_t
hash_to_32(const unsigned char *s, size_t len)
{
	uint64_t	mul = K2 + len * 2;
	Pair		sums = sums_of_32(s, len, mul);

	return mix_two(sums.first, sums.second, mul);
}

static uint64_t
hash_piece(const unsigned char *s, uint64_t mul, uint64_t seed0, uint64_t seed1)
{
	Pair		sums = sums_of_32(s, 32, mul);
	uint64_t	u = sums.first + seed0;
	uint64_t	v = sums.second + seed1;
	uint64_t	a = shift_mix((u ^ v) * mul);

	return shift_mix((v ^ a) * mul);
}

static uint64_t
hash_to_64(const unsigned char *s, size_t len)
{
	uint64_t	mul0 = K2 - 30;
	uint64_t	mul1 = K2 - 30 + 2 * len;
	uint64_t	h0 = hash_piece(s, mul0, 0, 0);
	uint64_t	h1 = hash_piece(s + len - 32, mul1, 0, 0);

	return (h1 * mul1 + h0) * mul1;
}

static uint64_t
hash_to_96(const unsigned char *s, size_t len)
{
	uint64_t	mul0 = K2 - 114;
	uint64_t	mul1 = K2 - 114 + 2 * len;
	uint64_t	h0 = hash_piece(s, mul0, 0, 0);
	uint64_t	h1 = hash_piece(s + 32, mul1, 0, 0);
	uint64_t	h2 = hash_piece(s + len - 32, mul1, h0, h1);

	return (h2 * 9 + (h0 >> 17) + (h1 >> 21)) * mul1;
}

/* 32 bytes and two seeds to two words. */
static Pair
weak_hash(const unsigned char *s, uint64_t a, uint64_t b)
{
	uint64_t	z = word(s + 24);
	uint64_t	c;

	a += word(s);
	b = rotate(b + a + z, 21);
	c = a;
	a += word(s + 8) + word(s + 16);
	b += rotate(a, 44);
	return (Pair)
	{
		a + z, b + c
	};
}

static uint64_t
hash_to_256(const unsigned char *s, size_t len)
{
	const unsigned char *end = s + (len - 1) / BLOCK * BLOCK;
	const unsigned char *last = s + len - BLOCK;
	uint64_t	x = SEED;
	uint64_t	y = x * K1 + 113;
	uint64_t	z = shift_mix(y * K2 + 113) * K2;
	uint64_t	mul;
	Pair		v = {0, 0};
	Pair		w = {0, 0};

	x = x * K2 + word(s);
	for (; s != end; s += BLOCK)
	{
		x = rotate(x + y + v.first + word(s + 8), 37) * K1;
		y = rotate(y + v.second + word(s + 48), 42) * K1;
		x ^= w.second;
		y += v.first + word(s + 40);
		z = rotate(z + w.first, 33) * K1;
		v = weak_hash(s, v.second * K1, x + w.first);
		w = weak_hash(s + 32, z + w.second, y + word(s + 16));
		swap(&z, &x);
	}
	mul = K1 + ((z & 0xff) << 1);
	s = last;
	w.first += (len - 1) & (BLOCK - 1);
	v.first += w.first;
	w.first += v.first;
	x = rotate(x + y + v.first + word(s + 8), 37) * mul;
	y = rotate(y + v.second + word(s + 48), 42) * mul;
	x ^= w.second * 9;
	y += v.first * 9 + word(s + 40);
	z = rotate(z + w.first, 33) * mul;
	v = weak_hash(s, v.second * mul, x + w.first);
	w = weak_hash(s + 32, z + w.second, y + word(s + 16));
	swap(&z, &x);
	return mix_two(mix_two(v.first, w.first, mul) + shift_mix(y) * K0 + z,
				   mix_two(v.second, w.second, mul) + x, mul);
}

static uint64_t
hash_long(const unsigned char *s, size_t len)
{
	const unsigned char *end = s + (len - 1) / BLOCK * BLOCK;
	const unsigned char *last = s + len - BLOCK;
	uint64_t	x = SEED;
	uint64_t	y = 113;
	uint64_t	z = shift_mix(y * K2) * K2;
	Pair		v = {SEED, 0};
	Pair		w = {0, 0};
	uint64_t	u = x - z;
	uint64_t	mul = K2 + (u & 0x82);

	x *= K2;
	for (; s != end; s += BLOCK)
	{
		uint64_t	a[8];

		for (int i = 0; i < 8; i++)
			a[i] = word(s + 8 * i);
		x += a[0] + a[1];
		y += a[2];
		z += a[3];
		v.first += a[4];
		v.second += a[5] + a[1];
		w.first += a[6];
		w.second += a[7];

		x = rotate(x, 26) * 9;
		y = rotate(y, 29);
		z *= mul;
		v.first = rotate(v.first, 33);
		v.second = rotate(v.second, 30);
		w.first = (w.first ^ x) * 9;
		z = rotate(z, 32) + w.second;
		w.second += z;
		z *= 9;
		swap(&u, &y);

		z += a[0] + a[6];
		v.first += a[2];
		v.second += a[3];
		w.first += a[4];
		w.second += a[5] + a[6];
		x += a[1];
		y += a[7];

		y += v.first;
		v.first += x - y;
		v.second += w.first;
		w.first += v.second;
		w.second += x - y;
		x += w.second;
		w.second = rotate(w.second, 34);
		swap(&u, &z);
	}
	s = last;
	u *= 9;
	v.second = rotate(v.second, 28);
	v.first = rotate(v.first, 20);
	w.first += (len - 1) & (BLOCK - 1);
	u += y;
	y += u;
	x = rotate(y - x + v.first + word(s + 8), 37) * mul;
	y = rotate(y ^ v.second ^ word(s + 48), 42) * mul;
	x ^= w.second * 9;
	y += v.first + word(s + 40);
	z = rotate(z + w.first, 33) * mul;
	v = weak_hash(s, v.second * mul, x + w.first);
	w = weak_hash(s + 32, z + w.second, y + word(s + 16));
	return mix_two_rotated(mix_two(v.first + x, w.first ^ y, mul) + z - u,
						   mix_two_rotated(v.second + y, w.second + z, K2, 30) ^ x, K2, 31);
}

uint64_t
vk_farmhash64(const unsigned char *data, size_t len)
{
	if (len <= 16)
		return hash_to_16(data, len);
	if (len <= 32)
		return hash_to_32(data, len);
	if (len <= 64)
		return hash_to_64(data, len);
	if (len <= 96)
		return hash_to_96(data, len);
	if (len <= 256)
		return hash_to_256(data, len);
	return hash_long(data, len);
}
