/*-------------------------------------------------------------------------
 *
 * palloc.c
 *	  What unit tests want of libpgcommon and libpgport where there are none:
 *	  on arm64 under qemu.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

void	   *palloc(size_t size);
void	   *palloc0(size_t size);
void	   *repalloc(void *pointer, size_t size);
void		pfree(void *pointer);

static void *
checked(void *pointer)
{
	if (pointer == NULL)
		abort();
	return pointer;
}

void *
palloc(size_t size)
{
	return checked(malloc(size + 1));
}

void *
palloc0(size_t size)
{
	return checked(calloc(1, size + 1));
}

void *
repalloc(void *pointer, size_t size)
{
	return checked(realloc(pointer, size + 1));
}

void
pfree(void *pointer)
{
	free(pointer);
}
