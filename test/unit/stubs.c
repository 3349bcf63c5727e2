/*-------------------------------------------------------------------------
 *
 * stubs.c
 *	  What objects of the server want of it when a unit test links them.
 *
 * Linked with every unit test; a test that defines one of these itself wins.
 * No header of PostgreSQL: signatures differ between versions, and nothing
 * here depends on the difference.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

void		ExceptionalCondition(const char *condition);

/* Where Assert() goes in a build with assertions. */
__attribute__((weak))
void
ExceptionalCondition(const char *condition)
{
	fprintf(stderr, "assertion failed: %s\n", condition);
	abort();
}
