/*-------------------------------------------------------------------------
 *
 * attribute.h
 *	  Typed attributes of data points.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_ATTRIBUTE_H
#define VK_ATTRIBUTE_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* In the order of the field numbers on the wire, less one. */
typedef enum VkAttributeType
{
	VK_ATTRIBUTE_STRING = 0,
	VK_ATTRIBUTE_GUID = 1,
	VK_ATTRIBUTE_BOOL = 2,
	VK_ATTRIBUTE_INT64 = 3,
	VK_ATTRIBUTE_FLOAT64 = 4,
	VK_ATTRIBUTE_DATETIME = 5
} VkAttributeType;

#define VK_NUM_ATTRIBUTE_TYPES 6

typedef struct VkAttributeTypeInfo
{
	const char *name;			/* as in a definition: Int64 */
	const char *field;			/* as in the JSON of the HTTP API: int64 */
	const char *sql_type;
	Oid			typid;
} VkAttributeTypeInfo;

extern const VkAttributeTypeInfo vk_attribute_types[VK_NUM_ATTRIBUTE_TYPES];

typedef struct VkAttributeValue
{
	VkAttributeType type;
	union
	{
		struct
		{
			const char *data;	/* UTF-8 or the server's encoding, as in the
								 * jsonb; not terminated */
			int			length;
		}			string;
		pg_uuid_t	guid;
		bool		boolean;
		int64 int64;
		double		float64;
		TimestampTz datetime;
	}			as;
} VkAttributeValue;

/* The type of a name, in any case of its letters; false when there is none. */
extern bool vk_attribute_type_find(const char *name, int length, VkAttributeType *type);

/*
 * The value of a JSON scalar, false when it is not one of this type.  lenient:
 * numbers may come as strings, as the HTTP API allows.
 */
extern bool vk_attribute_from_json(const JsonbValue *json, VkAttributeType type, bool lenient,
								   VkAttributeValue *value);

/* The value of {"int64": 23}; false unless exactly the field of the type is there. */
extern bool vk_attribute_from_dto(const JsonbValue *json, VkAttributeType type,
								  VkAttributeValue *value);

/* Appends the value as JSON. */
extern void vk_attribute_to_json(const VkAttributeValue *value, StringInfo out);

/* The value as a datum of its type's typid. */
extern Datum vk_attribute_to_datum(const VkAttributeValue *value);

/* Parses an ISO 8601 point in time; one without a zone is UTC. */
extern bool vk_datetime_parse(const char *text, int length, TimestampTz *result);

#endif							/* VK_ATTRIBUTE_H */
