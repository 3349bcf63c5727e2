/*-------------------------------------------------------------------------
 *
 * message_formats.c
 *	  The formats a message may be in: one line each.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "kafka_bgworker/message.h"

static const VkMessageFormat *const formats[] = {
	&vk_format_json,
	&vk_format_vektonn,
};

const VkMessageFormat *
vk_message_format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}
