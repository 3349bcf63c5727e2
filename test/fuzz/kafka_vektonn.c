/*
 * kafka_vektonn.c: fuzz the message format vektonn
 *
 * The first byte chooses key or value, the rest is the message.  What comes
 * back agrees with whether an error was reported, and nothing is read or
 * written beyond message and room.
 *
 * SOURCES: kafka_bgworker/format_vektonn.c
 */
#include "format_sink.h"

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	VkRowSink	sink;
	char	   *message;
	bool		fine;

	if (size < 1)
		return 0;
	message = malloc(size - 1);
	memcpy(message, data + 1, size - 1);
	sink_begin(&sink);
	sink.vector_column = data[0] & 2 ? 5 : 4;
	if (data[0] & 1)
		fine = vk_format_vektonn.read_key(&sink, message, size - 1);
	else
		fine = vk_format_vektonn.read_value(&sink, message, size - 1);
	if (fine != (sink.sqlstate[0] == '\0'))
		abort();
	sink_end(&sink);
	free(message);
	return 0;
}
