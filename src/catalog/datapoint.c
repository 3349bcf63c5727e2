/*-------------------------------------------------------------------------
 *
 * datapoint.c
 *	  Data points as uploaded, checked against their data source.
 *
 * Two shapes are taken, and may be mixed:
 *
 *	{"attributes": {"id": 1}, "vector": [0, 1]}
 *	{"attributes": {"id": 1}, "vector": {"indices": [0, 7], "values": [1, 2]}}
 *	{"attributes": {"id": 1}, "isDeleted": true}
 *
 * and that of Vektonn's HTTP API:
 *
 *	{"attributes": [{"key": "id", "value": {"int64": 1}}],
 *	 "vector": {"isSparse": false, "coordinates": [0, 1]}}
 *
 * The rules, their order and their wording are those of Vektonn's validators,
 * so that a program that knows them finds them here.  Two are stricter: a
 * sparse vector has as many indices as coordinates, and no coordinate is
 * infinite as a float; both would make a row no index can hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "catalog/datapoint.h"
#include "types/types.h"

/* How much of a wrong value an error repeats. */
#define MAX_EXCERPT		60

void
vk_complaints_init(VkComplaints *complaints)
{
	initStringInfo(&complaints->text);
	complaints->count = 0;
}

void
vk_complain(VkComplaints *complaints, const char *format,...)
{
	int			needed;

	if (complaints->count++ > 0)
		appendStringInfoString(&complaints->text, "; ");
	for (;;)
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(&complaints->text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&complaints->text, needed);
	}
}

char *
vk_json_excerpt(const JsonbValue *json)
{
	StringInfoData text;
	int			length;

	initStringInfo(&text);
	switch (json->type)
	{
		case jbvNull:
			appendStringInfoString(&text, "null");
			break;
		case jbvString:
			appendBinaryStringInfo(&text, json->val.string.val, json->val.string.len);
			break;
		case jbvNumeric:
			appendStringInfoString(&text, DatumGetCString(DirectFunctionCall1(numeric_out,
																			  NumericGetDatum(json->val.numeric))));
			break;
		case jbvBool:
			appendStringInfoString(&text, json->val.boolean ? "true" : "false");
			break;
		default:
			JsonbToCString(&text, json->val.binary.data, json->val.binary.len);
			break;
	}
	length = pg_mbcliplen(text.data, text.len, MAX_EXCERPT);
	if (length < text.len)
	{
		text.data[length] = '\0';
		text.len = length;
		appendStringInfoString(&text, "...");
	}
	return text.data;
}

/* Elements of a text[] attribute of a row. */
static char **
row_strings(HeapTupleHeader row, const char *column, int *count)
{
	bool		isnull;
	Datum		array = GetAttributeByName(row, column, &isnull);
	Datum	   *elements;
	char	  **strings;

	if (isnull)
		elog(ERROR, "column \"%s\" of a data source is null", column);
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, count);
	strings = palloc(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		strings[i] = TextDatumGetCString(elements[i]);
	return strings;
}

static char *
row_string(HeapTupleHeader row, const char *column)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, column, &isnull);

	if (isnull)
		elog(ERROR, "column \"%s\" of a data source is null", column);
	return TextDatumGetCString(value);
}

static VkSourceAttribute *
source_attribute(const VkSource *source, const char *name, int length)
{
	for (int i = 0; i < source->num_attributes; i++)
	{
		VkSourceAttribute *attribute = &source->attributes[i];

		if (strncmp(attribute->name, name, length) == 0 && attribute->name[length] == '\0')
			return attribute;
	}
	return NULL;
}

VkSource *
vk_source_from_datum(Datum datum)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(datum);
	VkSource   *source = palloc0(sizeof(VkSource));
	bool		isnull;
	int			num_types;
	int			num_permanent;
	char	  **names = row_strings(row, "attribute_names", &source->num_attributes);
	char	  **types = row_strings(row, "attribute_types", &num_types);
	char	  **permanent = row_strings(row, "permanent_attributes", &num_permanent);

	source->name = row_string(row, "name");
	source->version = row_string(row, "version");
	source->format = row_string(row, "format");
	source->dimension = DatumGetInt32(GetAttributeByName(row, "vector_dimension", &isnull));
	source->sparse = DatumGetBool(GetAttributeByName(row, "sparse", &isnull));
	if (num_types != source->num_attributes)
		elog(ERROR, "data source \"%s\" has %d attributes and %d types", source->name,
			 source->num_attributes, num_types);
	source->attributes = palloc0(sizeof(VkSourceAttribute) * Max(num_types, 1));
	for (int i = 0; i < num_types; i++)
	{
		source->attributes[i].name = names[i];
		if (!vk_attribute_type_find(types[i], strlen(types[i]), &source->attributes[i].type))
			elog(ERROR, "attribute type \"%s\" is not known", types[i]);
	}
	for (int i = 0; i < num_permanent; i++)
	{
		VkSourceAttribute *attribute = source_attribute(source, permanent[i], strlen(permanent[i]));

		if (!attribute)
			elog(ERROR, "permanent attribute \"%s\" is not an attribute", permanent[i]);
		attribute->permanent = true;
	}
	return source;
}

static bool
json_is_object(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsObject(json->val.binary.data);
}

static bool
json_is_array(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsArray(json->val.binary.data) &&
		!JsonContainerIsScalar(json->val.binary.data);
}

/* The field of an object; false when it is not there or null. */
static bool
json_field(const JsonbValue *object, const char *name, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object->val.binary.data, name, strlen(name), value) != NULL &&
		value->type != jbvNull;
}

/* One attribute as it was given. */
typedef struct GivenAttribute
{
	JsonbValue	key;
	JsonbValue	value;			/* jbvNull where there was none */
	bool		is_dto;			/* {"int64": 1} and not 1 */
} GivenAttribute;

/* Lists the attributes of an object, or of an array of keys and values; -1: it is neither. */
static int
attributes_list(const JsonbValue *json, GivenAttribute **result)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			count = 0;

	if (!json_is_object(json) && !json_is_array(json))
		return -1;
	*result = palloc0(sizeof(GivenAttribute) * Max(JsonContainerSize(json->val.binary.data), 1));
	iterator = JsonbIteratorInit(json->val.binary.data);
	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		GivenAttribute *given = &(*result)[count];

		if (token == WJB_KEY)
		{
			given->key = item;
			JsonbIteratorNext(&iterator, &given->value, true);
			count++;
		}
		else if (token == WJB_ELEM)
		{
			given->is_dto = true;
			given->key.type = given->value.type = jbvNull;
			if (!json_is_object(&item))
				return -1;
			json_field(&item, "key", &given->key);
			if (!json_field(&item, "value", &given->value))
				given->value.type = jbvNull;
			count++;
		}
	}
	return count;
}

static bool
string_is_blank(const JsonbValue *json)
{
	if (json->type != jbvString)
		return true;
	for (int i = 0; i < json->val.string.len; i++)
		if (!strchr(" \t\r\n\v\f", json->val.string.val[i]))
			return false;
	return true;
}

static bool
same_key(const GivenAttribute *a, const GivenAttribute *b)
{
	if (a->key.type != jbvString || b->key.type != jbvString)
		return a->key.type == b->key.type;
	return a->key.val.string.len == b->key.val.string.len &&
		memcmp(a->key.val.string.val, b->key.val.string.val, a->key.val.string.len) == 0;
}

/* Upstream's rules 1 and 2: distinct keys, and exactly those wanted. */
static void
attributes_check_keys(const VkSource *source, const GivenAttribute *given, int count,
					  VkComplaints *complaints)
{
	int			wanted = source->num_attributes;
	int			matched = 0;
	bool		distinct = true;

	for (int i = 0; i < count; i++)
	{
		bool		repeated = false;

		/*
		 * An object has each key once; only the HTTP API's arrays can repeat
		 * one.
		 */
		for (int j = 0; given[i].is_dto && j < i && !repeated; j++)
			repeated = same_key(&given[i], &given[j]);
		distinct &= !repeated;
		if (!repeated && given[i].key.type == jbvString &&
			source_attribute(source, given[i].key.val.string.val, given[i].key.val.string.len))
			matched++;
		else if (!repeated)
			wanted = -1;		/* one that is not wanted */
	}
	if (!distinct)
		vk_complain(complaints, "Attribute keys must be unique");
	if (matched != wanted)
		vk_complain(complaints,
					"All attributes defined for data source (and no other ones) must be specified");
}

/* Upstream's rule 3, for one attribute: the first thing that is wrong with it. */
static void
attribute_take(const VkSource *source, const GivenAttribute *given, VkDataPoint *point,
			   VkComplaints *complaints)
{
	VkSourceAttribute *attribute;
	VkAttributeValue *value;
	bool		valid;

	if (string_is_blank(&given->key))
	{
		vk_complain(complaints, "InputDataPoint attribute key is null or whitespace");
		return;
	}
	attribute = source_attribute(source, given->key.val.string.val, given->key.val.string.len);
	if (!attribute)
	{
		vk_complain(complaints, "InputDataPoint attribute key is unknown: '%s'",
					vk_json_excerpt(&given->key));
		return;
	}
	value = &point->values[attribute - source->attributes];
	valid = given->is_dto ? vk_attribute_from_dto(&given->value, attribute->type, value) :
		vk_attribute_from_json(&given->value, attribute->type, false, value);
	if (!valid)
		vk_complain(complaints, "InputDataPoint attribute '%s' has invalid value: '%s'",
					attribute->name, vk_json_excerpt(&given->value));
}

static void
attributes_take(const VkSource *source, const JsonbValue *json, VkDataPoint *point,
				VkComplaints *complaints)
{
	GivenAttribute *given = NULL;
	int			count = attributes_list(json, &given);

	if (count < 0)
	{
		vk_complain(complaints, "attributes must be an object, or an array of keys and values");
		return;
	}
	attributes_check_keys(source, given, count, complaints);
	for (int i = 0; i < count; i++)
		attribute_take(source, &given[i], point, complaints);
}

/* A number of an array of numbers; strings that are numbers are taken as upstream takes them. */
static bool
number_take(const JsonbValue *json, double *number)
{
	VkAttributeValue value;

	if (json->type == jbvNumeric)
	{
		Datum		converted = DirectFunctionCall1(numeric_float8_no_overflow,
													NumericGetDatum(json->val.numeric));

		*number = DatumGetFloat8(converted);
		return true;
	}
	if (!vk_attribute_from_json(json, VK_ATTRIBUTE_FLOAT64, true, &value))
		return false;
	*number = value.as.float64;
	return true;
}

/* Numbers of an array; NULL after a complaint. */
static double *
numbers_take(const JsonbValue *json, const char *what, int *count, VkComplaints *complaints)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	double	   *numbers;

	if (!json_is_array(json))
	{
		vk_complain(complaints, "%s must be an array of numbers", what);
		return NULL;
	}
	numbers = palloc(sizeof(double) * Max(JsonContainerSize(json->val.binary.data), 1));
	*count = 0;
	iterator = JsonbIteratorInit(json->val.binary.data);
	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (!number_take(&item, &numbers[*count]))
		{
			vk_complain(complaints, "%s must be numbers, not '%s'", what, vk_json_excerpt(&item));
			return NULL;
		}
		(*count)++;
	}
	return numbers;
}

static bool
coordinates_finite(const double *coordinates, int count, VkComplaints *complaints)
{
	for (int i = 0; i < count; i++)
	{
		if (isinf((float) coordinates[i]))
		{
			vk_complain(complaints, "Vector coordinates must be finite 32-bit floating point numbers");
			return false;
		}
	}
	return true;
}

typedef struct SparseEntry
{
	int			index;
	double		coordinate;
} SparseEntry;

static int
compare_entries(const void *a, const void *b)
{
	int			first = ((const SparseEntry *) a)->index;
	int			second = ((const SparseEntry *) b)->index;

	return first < second ? -1 : first > second;
}

/* Upstream's rule 6': indices distinct and inside; leaves the point sorted by index. */
static void
sparse_take(const VkSource *source, const double *coordinates, int num_coordinates,
			const double *indices, int num_indices, VkDataPoint *point, VkComplaints *complaints)
{
	SparseEntry *entries;
	bool		distinct = num_coordinates == num_indices;
	bool		inside = true;

	for (int i = 0; i < num_indices; i++)
		inside &= indices[i] >= 0 && indices[i] < source->dimension && indices[i] == floor(indices[i]);
	if (num_coordinates == 0)
		vk_complain(complaints, "Vector must have coordinates");
	if (num_coordinates > VK_SPARSE_MAX_NNZ)
		vk_complain(complaints, "Vector must not have more than %d coordinates", VK_SPARSE_MAX_NNZ);
	entries = palloc(sizeof(SparseEntry) * Max(num_indices, 1));
	if (inside && distinct)
	{
		for (int i = 0; i < num_indices; i++)
			entries[i] = (SparseEntry)
		{
			(int) indices[i], coordinates[i]
		};
		qsort(entries, num_indices, sizeof(SparseEntry), compare_entries);
		for (int i = 1; i < num_indices; i++)
			distinct &= entries[i].index != entries[i - 1].index;
	}
	if (!distinct)
		vk_complain(complaints, "Each vector coordinate value must have unique corresponding index");
	if (!inside)
		vk_complain(complaints, "Vector coordinates must have dimension: %d", source->dimension);
	if (!distinct || !inside)
		return;
	point->count = num_indices;
	point->coordinates = palloc(sizeof(double) * Max(num_indices, 1));
	point->indices = palloc(sizeof(int) * Max(num_indices, 1));
	for (int i = 0; i < num_indices; i++)
	{
		point->indices[i] = entries[i].index;
		point->coordinates[i] = entries[i].coordinate;
	}
}

/* Upstream's rule 6. */
static void
vector_take(const VkSource *source, const JsonbValue *json, VkDataPoint *point,
			VkComplaints *complaints)
{
	JsonbValue	field;
	JsonbValue	coordinates = *json;
	JsonbValue	indices;
	bool		sparse = false;
	double	   *numbers;
	double	   *index_numbers = NULL;
	int			num_indices = 0;

	if (json_is_object(json))
	{
		sparse = json_field(json, "indices", &indices) || json_field(json, "coordinateIndices", &indices);
		if (json_field(json, "isSparse", &field) && field.type == jbvBool)
			sparse = field.val.boolean;
		if (!json_field(json, "values", &coordinates) && !json_field(json, "coordinates", &coordinates))
		{
			vk_complain(complaints, "vector must have coordinates");
			return;
		}
	}
	if (sparse != source->sparse)
	{
		vk_complain(complaints, source->sparse ? "Vector must be sparse" : "Vector must be dense");
		return;
	}
	numbers = numbers_take(&coordinates, "vector coordinates", &point->count, complaints);
	if (!numbers || !coordinates_finite(numbers, point->count, complaints))
		return;
	if (!sparse)
	{
		point->coordinates = numbers;
		if (point->count != source->dimension)
			vk_complain(complaints, "Vector coordinates must have dimension: %d", source->dimension);
		return;
	}
	if (json_field(json, "indices", &indices) || json_field(json, "coordinateIndices", &indices))
		index_numbers = numbers_take(&indices, "vector indices", &num_indices, complaints);
	else
		index_numbers = palloc0(sizeof(double));
	if (index_numbers)
		sparse_take(source, numbers, point->count, index_numbers, num_indices, point, complaints);
}

bool
vk_vector_from_json(const VkSource *source, const JsonbValue *json, VkDataPoint *point,
					VkComplaints *complaints)
{
	int			before = complaints->count;

	vector_take(source, json, point, complaints);
	return complaints->count == before;
}

char *
vk_vector_text(const VkSource *source, const VkDataPoint *point)
{
	StringInfoData out;
	char		number[FLOAT_SHORTEST_DECIMAL_LEN];
	bool		first = true;

	initStringInfo(&out);
	appendStringInfoChar(&out, point->indices ? '{' : '[');
	for (int i = 0; i < point->count; i++)
	{
		float		coordinate = (float) point->coordinates[i];

		/* sparsevec stores no zeros; it counts indices from 1. */
		if (point->indices && coordinate == 0)
			continue;
		if (!first)
			appendStringInfoChar(&out, ',');
		first = false;
		if (point->indices)
			appendStringInfo(&out, "%d:", point->indices[i] + 1);
		float_to_shortest_decimal_buf(coordinate, number);
		appendStringInfoString(&out, number);
	}
	if (point->indices)
		appendStringInfo(&out, "}/%d", source->dimension);
	else
		appendStringInfoChar(&out, ']');
	return out.data;
}

/* Only the fields a data point has: a misspelt isDeleted must not be overlooked. */
static void
fields_check(const JsonbValue *json, VkComplaints *complaints)
{
	JsonbIterator *iterator = JsonbIteratorInit(json->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	item;

	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(item.val.string.val, item.val.string.len);
		if (strcmp(name, "attributes") != 0 && strcmp(name, "vector") != 0 &&
			strcmp(name, "isDeleted") != 0)
			vk_complain(complaints, "a data point has no field \"%s\"", vk_json_excerpt(&item));
		pfree(name);
	}
}

bool
vk_data_point_from_json(const VkSource *source, const JsonbValue *json, VkDataPoint *point,
						VkComplaints *complaints)
{
	JsonbValue	field;
	bool		has_vector;

	memset(point, 0, sizeof(*point));
	if (!json_is_object(json))
	{
		vk_complain(complaints, "a data point must be an object");
		return false;
	}
	fields_check(json, complaints);
	point->values = palloc0(sizeof(VkAttributeValue) * Max(source->num_attributes, 1));
	if (!json_field(json, "attributes", &field))
		vk_complain(complaints, "a data point must have attributes");
	else
		attributes_take(source, &field, point, complaints);

	if (json_field(json, "isDeleted", &field))
	{
		if (field.type != jbvBool)
			vk_complain(complaints, "isDeleted must be true or false");
		else
			point->deleted = field.val.boolean;
	}
	has_vector = json_field(json, "vector", &field);
	if (point->deleted == has_vector)
		vk_complain(complaints, "IsDeleted is inconsistent with Vector");
	if (has_vector)
		vector_take(source, &field, point, complaints);
	return complaints->count == 0;
}

bool
vk_data_point_from_key(const VkSource *source, const JsonbValue *json, VkDataPoint *point,
					   VkComplaints *complaints)
{
	VkSource	permanent = *source;
	VkDataPoint key_point = {0};
	int			count = 0;

	/*
	 * The rules for points, of a source that has the permanent attributes
	 * alone.
	 */
	permanent.attributes = palloc(sizeof(VkSourceAttribute) * Max(source->num_attributes, 1));
	for (int i = 0; i < source->num_attributes; i++)
		if (source->attributes[i].permanent)
			permanent.attributes[count++] = source->attributes[i];
	permanent.num_attributes = count;
	key_point.values = palloc0(sizeof(VkAttributeValue) * Max(count, 1));
	attributes_take(&permanent, json, &key_point, complaints);
	if (complaints->count > 0)
		return false;

	memset(point, 0, sizeof(*point));
	point->deleted = true;
	point->values = palloc0(sizeof(VkAttributeValue) * Max(source->num_attributes, 1));
	count = 0;
	for (int i = 0; i < source->num_attributes; i++)
		if (source->attributes[i].permanent)
			point->values[i] = key_point.values[count++];
	return true;
}

VkSource *
vk_source_of_splits(const VkSource *source, ArrayType *names)
{
	VkSource   *splits = palloc(sizeof(VkSource));
	Datum	   *elements;
	int			count;

	*splits = *source;
	splits->attributes = palloc(sizeof(VkSourceAttribute) * Max(source->num_attributes, 1));
	splits->num_attributes = 0;
	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < source->num_attributes; i++)
		for (int j = 0; j < count; j++)
			if (strcmp(source->attributes[i].name, TextDatumGetCString(elements[j])) == 0)
				splits->attributes[splits->num_attributes++] = source->attributes[i];
	return splits;
}

/* One attribute of a split filter. */
static void
split_take(const VkSource *splits, const GivenAttribute *item, VkAttributeValue *values,
		   bool *given, VkComplaints *complaints)
{
	const VkSourceAttribute *attribute;
	int			i;

	if (string_is_blank(&item->key))
	{
		vk_complain(complaints, "SplitFilter attribute key is null or whitespace");
		return;
	}
	attribute = source_attribute(splits, item->key.val.string.val, item->key.val.string.len);
	if (!attribute)
		return;					/* said already, of all such keys at once */
	i = attribute - splits->attributes;
	given[i] = item->is_dto ? vk_attribute_from_dto(&item->value, attribute->type, &values[i]) :
		vk_attribute_from_json(&item->value, attribute->type, false, &values[i]);
	if (!given[i])
		vk_complain(complaints, "SplitFilter attribute '%s' has invalid value: '%s'",
					attribute->name, vk_json_excerpt(&item->value));
}

static void
split_complain_keys(const VkSource *splits, VkComplaints *complaints)
{
	vk_complain(complaints, "SplitFilter attribute keys must be in SplitAttributes: {");
	for (int i = 0; i < splits->num_attributes; i++)
		appendStringInfo(&complaints->text, "%s%s", i > 0 ? ", " : "", splits->attributes[i].name);
	appendStringInfoChar(&complaints->text, '}');
}

void
vk_split_filter_from_json(const VkSource *splits, const JsonbValue *json,
						  VkAttributeValue *values, bool *given, VkComplaints *complaints)
{
	GivenAttribute *items = NULL;
	int			count = attributes_list(json, &items);
	bool		known = true;
	bool		distinct = true;

	if (count < 0)
	{
		vk_complain(complaints, "split filter must be an object, or an array of keys and values");
		return;
	}
	for (int i = 0; i < count; i++)
	{
		known &= items[i].key.type == jbvString &&
			source_attribute(splits, items[i].key.val.string.val, items[i].key.val.string.len) != NULL;
		for (int j = 0; j < i; j++)
			distinct &= !same_key(&items[i], &items[j]);
	}
	if (!known)
		split_complain_keys(splits, complaints);
	if (!distinct)
		vk_complain(complaints, "SplitFilter attribute keys must be unique");
	for (int i = 0; i < count; i++)
		split_take(splits, &items[i], values, given, complaints);
}
