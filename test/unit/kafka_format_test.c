/*
 * kafka_format_test.c: the message formats
 *
 * - json: values of every kind reach their columns; what is not JSON is
 *   refused, and said where; numbers of vectors have the bits strtof() gives;
 * - vektonn: upstream's golden messages, byte for byte; packed fields; lengths
 *   of keys;
 * - both: a message ends at a guard page, and every cut of it, and every
 *   changed byte, is accepted or refused but never more.
 *
 * LINKS: kafka_bgworker/format_json.o kafka_bgworker/format_vektonn.o kafka_bgworker/message_formats.o
 */
#include "postgres.h"

#include "check.h"
#include "../fuzz/format_sink.h"

#define GUARDED_SIZE	(4 * 1024 * 1024)

/* A copy of a message that ends at a guard page; the next one takes its place. */
static char *
guarded_copy(const char *message, size_t len)
{
	static char *room = NULL;

	if (room == NULL)
		room = guarded_alloc(GUARDED_SIZE);
	CHECK(len <= GUARDED_SIZE, "%zu", len);
	return memcpy(room + GUARDED_SIZE - len, message, len);
}

/* What a value leads to: the columns, or "SQLSTATE error". */
static const char *
reads(const VkMessageFormat *format, bool is_key, const char *message, size_t len)
{
	static char result[SINK_SHOWN + 500];
	char	   *copy = guarded_copy(message, len);
	VkRowSink	sink;
	bool		fine;

	sink_begin(&sink);
	fine = is_key ? format->read_key(&sink, copy, len) : format->read_value(&sink, copy, len);
	CHECK(fine == (sink.sqlstate[0] == '\0'), "%s", sink.error);
	if (fine)
		strcpy(result, sink.shown);
	else
		sprintf(result, "%s %s", sink.sqlstate, sink.error);
	sink_end(&sink);
	return result;
}

static void
json_is(const char *message, const char *expected)
{
	const char *got = reads(&vk_format_json, false, message, strlen(message));

	CHECK(strcmp(got, expected) == 0, "%s: %s, expected %s", message, got, expected);
}

static void
json_values(void)
{
	json_is("{}", "");
	json_is(" { \"id\" : 7 , \"name\":null } ", "id=7;name=null;");
	json_is("{\"id\":-0.5e+3,\"name\":true}", "id=-0.5e+3;name=true;");
	json_is("{\"name\":\"\"}", "name='';");
	json_is("{\"na\\u006de\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20ac\\ud83d\\ude00z\"}", "name='a\"\\/\b\f\n\r\t\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z';");
	json_is("{\"j\": {\"a\": [1, {}, [], \"x\"]} }", "j={\"a\": [1, {}, [], \"x\"]};");
	json_is("{\"other\": [[{\"id\": 1}]], \"id\": 2}", "id=2;");
	json_is("{\"tags\": [\"a\", 1, null]}", "tags=[;tags='a';tags=1;tags=null;tags=];");
	json_is("{\"tags\": []}", "tags=[;tags=];");
	json_is("{\"vec\": [1, -2.5 ,3e2]}", "vec=3 floats 1 300;");
	json_is("{\"vec\": null, \"sp\": null}", "vec=null;sp=null;");
	json_is("{\"sp\": {\"values\": [0.5, 2], \"indices\": [7, 3]}}", "sp=2/2;sp=7:0.5;sp=3:2;");
}

static void
json_refusals(void)
{
	static const char *const malformed[] = {
		"", " ", "[]", "1", "{", "{\"id\"", "{\"id\":", "{\"id\":1", "{\"id\":1,", "{\"id\":1,}", "{\"id\" 1}", "{id:1}", "{\"id\":1}x",
		"{\"id\":01}", "{\"id\":+1}", "{\"id\":.5}", "{\"id\":1.}", "{\"id\":1e}", "{\"id\":-}", "{\"id\":NaN}", "{\"id\":tru}", "{\"id\":nul}",
		"{\"name\":\"a}", "{\"name\":\"\\x\"}", "{\"name\":\"\\u12\"}", "{\"name\":\"\\u0000\"}", "{\"name\":\"\\ud800\"}", "{\"name\":\"\\ud800\\u0041\"}",
		"{\"name\":\"\\udc00\"}", "{\"name\":\"a\nb\"}", "{\"name\":\"\\\"}", "{\"vec\":[1,]}", "{\"vec\":[,1]}", "{\"vec\":[1 2]}", "{\"vec\":[1", "{\"vec\":[01]}",
	"{\"vec\":[\"1\"]}", "{\"vec\":[null]}", "{\"vec\":5}", "{\"sp\":[1]}", "{\"j\":[1,}", "{\"j\":{\"a\"}}", "{\"other\":[}", "{\"other\":{\"a\":1,}}", "{\"tags\":1}"};

	for (size_t i = 0; i < lengthof(malformed); i++)
	{
		const char *got = reads(&vk_format_json, false, malformed[i], strlen(malformed[i]));

		CHECK(strncmp(got, "22P02 message is not JSON: ", 27) == 0, "%s: %s", malformed[i], got);
	}
	json_is("{\"vec\":[1,4e38]}", "22003 number 4e38 is out of range for a vector");
	json_is("{\"id\":[1]}", "42804 an object or array was given where a single value belongs");
	json_is("{\"sp\":{\"values\":[1]}}", "42804 a sparse vector is an object of \"indices\" and \"values\"");
	json_is("{\"sp\":{\"values\":[1],\"indices\":[-1]}}", "22003 an index of a vector must be a number between 0 and 999999999");
	json_is("{\"name\": x}", "22P02 message is not JSON: value expected at byte 10");
}

/* Deep nesting neither crashes nor is let through. */
static void
json_depth(void)
{
	size_t		size = 2 * 1000 * 1000;
	char	   *message = malloc(size + 20);
	const char *got;

	strcpy(message, "{\"other\":");
	memset(message + 9, '[', size);
	got = reads(&vk_format_json, false, message, 9 + size);
	CHECK(strncmp(got, "22P02", 5) == 0, "%s", got);
	free(message);
}

/* A vector of one number, the bits of which are strtof's. */
static void
check_float(const char *literal)
{
	char		message[1300];
	float		expected = strtof(literal, NULL);
	VkRowSink	sink;
	int			len = sprintf(message, "{\"vec\":[%s]}", literal);

	sink_begin(&sink);
	CHECK(vk_format_json.read_value(&sink, message, len), "%s: %s", literal, sink.error);
	CHECK(memcmp(&sink.floats[0], &expected, sizeof(float)) == 0, "%s: %.9g, strtof says %.9g", literal, sink.floats[0], expected);
	sink_end(&sink);
}

static void
json_floats(void)
{
	char		literal[1200];
	static const char *const odd[] = {
		"0", "-0", "0.0", "-0.000", "0e10", "0e-10", "1e-45", "1e-46", "7e-46", "1.17549435e-38", "1.17549421e-38", "3.4028234e38", "3.40282346638528859e+38",
		"16777217", "16777219", "33554431", "9007199254740993", "18446744073709551616", "18446744073709551615", "99999999999999999999",
	"0.00000000000000000000000000000000000000000000001", "1e22", "1e23", "1e-22", "1e-23", "123456789012345678e-20", "1E+5", "8388608.5", "8388609.5"};

	for (size_t i = 0; i < lengthof(odd); i++)
		check_float(odd[i]);
	for (int i = 0; i < 300000; i++)
	{
		uint32		bits = (uint32) random_bits();
		float		value;
		double		middle;

		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value) || fabsf(value) > 1e38f)
			continue;
		sprintf(literal, "%.*g", 1 + random_below(20), value);
		check_float(literal);
		middle = ((double) value + (double) nextafterf(value, INFINITY)) / 2;
		sprintf(literal, "%.*g", 17 + random_below(12), middle);
		check_float(literal);
		sprintf(literal, "%d.%0*d", random_below(1000), 1 + random_below(9), random_below(100000000));
		check_float(literal);
	}
	memset(literal, '1', 1100);
	literal[0] = '0';
	literal[1] = '.';
	literal[1100] = '\0';
	check_float(literal);
}

static size_t
from_base64(const char *text, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32		bits = 0;
	int			have = 0;
	size_t		len = 0;

	for (; *text && *text != '='; text++)
	{
		bits = bits << 6 | (uint32) (strchr(digits, *text) - digits);
		have += 6;
		if (have >= 8)
			out[len++] = (char) (bits >> (have -= 8));
	}
	return len;
}

static void
vektonn_is(bool is_key, const char *bytes, size_t len, const char *expected)
{
	const char *got = reads(&vk_format_vektonn, is_key, bytes, len);

	CHECK(strcmp(got, expected) == 0, "%s, expected %s", got, expected);
}

#define KEY(bytes, expected) vektonn_is(true, bytes, sizeof(bytes) - 1, expected)
#define VALUE(bytes, expected) vektonn_is(false, bytes, sizeof(bytes) - 1, expected)

static const char golden[] =
"ChEKA3N0chIKCghsYS1sYS1sYQoaCgRndWlkEhISEDmxRuyYA0t+qjXzVQrA5e0KCgoEYm9vbBICGAEKEwoFaW50NjQSCiD//////////38KFAoHZmxvYXQ2NBIJKf///////+//"
"ChUKCWRhdGVfdGltZRIIMgYIu6uViAYRMzMzMzMz8z8RMzMzMzMzC0ARZmZmZmZmFsAYBxgNGBs=";

/* Columns of the golden message, in turn, by the name of our scalar column. */
static void
vektonn_golden(void)
{
	static const struct
	{
		const char *name;
		const char *expected;
	}			attributes[] = {
		{"str", "name='la-la-la';"},
		{"guid", "name=guid 39b146ec98034b7eaa35f3550ac0e5ed;"},
		{"bool", "name=true;"},
		{"int64", "name=int 9223372036854775807;"},
		{"float64", "name=double -1.7976931348623157e+308;"},
		{"date_time", "name=time 1627739579.000000000;"},
	};
	char		message[1000];
	size_t		len = from_base64(golden, message);

	CHECK(len == 158, "%zu", len);
	for (size_t i = 0; i < lengthof(attributes); i++)
	{
		/* Each attribute in a message of its own, under the name of a column. */
		char	   *at = memmem(message, len, attributes[i].name, strlen(attributes[i].name));
		size_t		name_len = strlen(attributes[i].name);
		size_t		value_len = (unsigned char) at[name_len + 1];
		char		single[200];
		size_t		single_len = 0;

		single[single_len++] = 0x0a;
		single[single_len++] = (char) (2 + 4 + 2 + value_len);
		memcpy(single + single_len, "\x0a\x04name\x12", 7);
		single_len += 7;
		single[single_len++] = (char) value_len;
		memcpy(single + single_len, at + name_len + 2, value_len);
		single_len += value_len;
		memcpy(single + single_len, "\x11\0\0\0\0\0\0\xf0\x3f", 9);
		single_len += 9;
		{
			char		expected[100];

			sprintf(expected, "%svec=1 floats 1 1;", attributes[i].expected);
			vektonn_is(false, single, single_len, expected);
		}
	}
}

static void
vektonn_messages(void)
{
	/*
	 * the quick start: id = 1, "first data point" under a name that is no
	 * column, [0, 1]
	 */
	VALUE("\x0a\x08\x0a\x02id\x12\x02\x20\x01\x0a\x1d\x0a\x07payload\x12\x12\x0a\x10" "first data point"
		  "\x11\0\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\xf0\x3f", "id=int 1;vec=2 floats 0 1;");
	/* packed coordinates */
	VALUE("\x12\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f", "vec=2 floats 0 1;");
	/* unknown fields of every wire type */
	VALUE("\x20\x05\x29\0\0\0\0\0\0\0\0\x32\x01x\x3d\0\0\0\0\x11\0\0\0\0\0\0\xf0\x3f", "vec=1 floats 1 1;");
	KEY("\x0a\x02\x20\x01", "id=int 1;");
	KEY("\x0a\x02\x18\x00", "id=false;");
	KEY("\x0a\x02\x0a\x00", "id='';");
	KEY("\x0a\x03\x0a\x01x", "id='x';");
	KEY("\x0a\x02\x12\x00", "id=guid 00000000000000000000000000000000;");
	KEY("\x0a\x0b\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "id=int -9223372036854775808;");
	KEY("\x0a\x08\x32\x06\x08\xbb\xab\x95\x88\x06", "id=time 1627739579.000000000;");
	KEY("", "22004 the message's key has fewer values than there are permanent attributes");
	KEY("\x0a\x02\x20\x01\x0a\x02\x20\x01", "22P02 the message's key has more values than there are permanent attributes");
	KEY("\x0a\x00", "22004 an attribute of the message has no value");
	KEY("\x0a\x04\x20\x01\x20\x01", "22P02 an attribute of the message has more than one value");
	KEY("\x0a\x02\x20", "22P02 message is not a Vektonn data point: its protobuf encoding is damaged");
	KEY("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "22P02 message is not a Vektonn data point: its protobuf encoding is damaged");
	VALUE("\x11\0\0\0\0\0\0\xf8\x7f", "22003 coordinate 1 of the vector is out of range");
	VALUE("\x11\0\0\0\0\0\0\xf0\x3f\x18\x01", "42804 the vector is sparse, and the column is not");
}

/* Every cut and every changed byte. */
static void
damage(const VkMessageFormat *format, const char *message, size_t len)
{
	char		changed[1000];

	for (size_t i = 0; i <= len; i++)
	{
		(void) reads(format, false, message, i);
		(void) reads(format, true, message, i);
	}
	for (int i = 0; i < 20000; i++)
	{
		memcpy(changed, message, len);
		for (int k = random_below(3); k >= 0; k--)
			changed[random_below((int) len)] = (char) random_bits();
		(void) reads(format, false, changed, len);
	}
}

int
main(void)
{
	char		message[1000];
	static const char sample[] = "{\"id\": 7, \"name\": \"a\\u00e4\\ud83d\\ude00\", \"vec\": [0.25, -1e-3], \"sp\": {\"indices\": [1, 2], \"values\": [1, 2]}, \"j\": [{}], \"tags\": [1]}";

	CHECK(vk_message_format("json") == &vk_format_json && vk_message_format("vektonn") == &vk_format_vektonn &&
		  vk_message_format("xml") == NULL, "names");
	json_values();
	json_refusals();
	json_depth();
	json_floats();
	vektonn_golden();
	vektonn_messages();
	damage(&vk_format_json, sample, sizeof(sample) - 1);
	damage(&vk_format_vektonn, message, from_base64(golden, message));
	return 0;
}
