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
int			LWLockAcquire(void *lock, int mode);
void		LWLockRelease(void *lock);
void		LWLockInitialize(void *lock, int tranche);

/* Where Assert() goes in a build with assertions. */
__attribute__((weak))
void
ExceptionalCondition(const char *condition)
{
	fprintf(stderr, "assertion failed: %s\n", condition);
	abort();
}

/* A unit test is one process, which takes no lock it has. */
__attribute__((weak))
int
LWLockAcquire(void *lock, int mode)
{
	return 1;
}

__attribute__((weak))
void
LWLockRelease(void *lock)
{
}

__attribute__((weak))
void
LWLockInitialize(void *lock, int tranche)
{
}
