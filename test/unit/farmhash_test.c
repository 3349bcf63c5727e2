/*
 * farmhash_test.c: FarmHash of inputs of each of its routines, ends included.
 * The values up to 96 bytes agree with what an existing deployment spreads its
 * points by; the longer ones are those of FarmHash's reference implementation.
 *
 * LINKS: src/util/farmhash.o
 */
#include "postgres.h"

#include "check.h"
#include "util/farmhash.h"

static const struct
{
	int			length;
	uint64		hash;
}			expected[] = {
	{0, UINT64CONST(11160318154034397263)},
	{1, UINT64CONST(5598742704964665833)},
	{3, UINT64CONST(17027406497670404098)},
	{4, UINT64CONST(14490196633437122042)},
	{7, UINT64CONST(5121491459961798319)},
	{8, UINT64CONST(15304474834265870372)},
	{16, UINT64CONST(12531661649559752763)},
	{17, UINT64CONST(9373215445791643260)},
	{32, UINT64CONST(14738515179824083722)},
	{33, UINT64CONST(2372622761850496374)},
	{64, UINT64CONST(11148659508316747623)},
	{65, UINT64CONST(3978126970034262100)},
	{96, UINT64CONST(13044603956208337962)},
	{97, UINT64CONST(14757216053904115176)},
	{100, UINT64CONST(222749683200508008)},
	{128, UINT64CONST(17286293787871287486)},
	{129, UINT64CONST(16282356453157452625)},
	{192, UINT64CONST(14825326955632724678)},
	{193, UINT64CONST(13577274408966239374)},
	{256, UINT64CONST(1470807521976519378)},
	{257, UINT64CONST(4730370137436447000)},
	{300, UINT64CONST(5066339849390813507)},
	{511, UINT64CONST(14774425689317894808)},
	{512, UINT64CONST(13121592594274761968)},
	{513, UINT64CONST(3090836708232312731)},
	{1000, UINT64CONST(4779693780617904309)}
};

int
main(void)
{
	for (int i = 0; i < (int) lengthof(expected); i++)
	{
		int			length = expected[i].length;
		unsigned char *data = (unsigned char *) guarded_alloc(length);

		for (int at = 0; at < length; at++)
			data[at] = (at * 7 + length) % 127 + 1;
		CHECK(vk_farmhash64(data, length) == expected[i].hash, "%d bytes", length);
	}
	return 0;
}
