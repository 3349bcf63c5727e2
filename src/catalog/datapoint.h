/*-------------------------------------------------------------------------
 *
 * datapoint.h
 *	  Data sources' definitions, and data points checked against them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_DATAPOINT_H
#define VK_DATAPOINT_H

#include "catalog/attribute.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/array.h"

typedef struct VkSourceAttribute
{
	const char *name;
	VkAttributeType type;
	bool		permanent;
} VkSourceAttribute;

/* What a row of vektonn.data_source says, as far as points are concerned. */
typedef struct VkSource
{
	char	   *name;
	char	   *version;
	char	   *format;			/* of its messages */
	int			dimension;
	bool		sparse;
	int			num_attributes;
	VkSourceAttribute *attributes;	/* in upstream's order of keys */
} VkSource;

typedef struct VkDataPoint
{
	VkAttributeValue *values;	/* as many as the source has attributes */
	bool		deleted;		/* then only permanent values count, and there
								 * is no vector */
	int			count;			/* coordinates */
	double	   *coordinates;
	int		   *indices;		/* sparse: zero-based, ascending; else NULL */
} VkDataPoint;

/*
 * What is wrong with a data point or a query: upstream's sentences, all that
 * apply, in its order.
 */
typedef struct VkComplaints
{
	StringInfoData text;		/* joined by "; " */
	int			count;
} VkComplaints;

extern void vk_complaints_init(VkComplaints *complaints);
extern void vk_complain(VkComplaints *complaints, const char *format,...) pg_attribute_printf(2, 3);

/* Reads a definition from a datum of the row type of vektonn.data_source. */
extern VkSource *vk_source_from_datum(Datum row);

/*
 * Takes a data point apart.  false when something is wrong with it; then what
 * is wrong was added to complaints.
 */
extern bool vk_data_point_from_json(const VkSource *source, const JsonbValue *json,
									VkDataPoint *point, VkComplaints *complaints);

/* The same for an object of the permanent attributes alone: what to delete. */
extern bool vk_data_point_from_key(const VkSource *source, const JsonbValue *json,
								   VkDataPoint *point, VkComplaints *complaints);

/* A vector alone, into the point's coordinates and indices; false after a complaint. */
extern bool vk_vector_from_json(const VkSource *source, const JsonbValue *json,
								VkDataPoint *point, VkComplaints *complaints);

/* The point's vector as the input functions of vector and sparsevec read it. */
extern char *vk_vector_text(const VkSource *source, const VkDataPoint *point);

/* The source with only those of its attributes whose names are listed. */
extern VkSource *vk_source_of_splits(const VkSource *source, ArrayType *names);

/*
 * A split filter of either shape: which of the splits' attributes it gives,
 * and their values, in arrays as long as there are attributes.
 */
extern void vk_split_filter_from_json(const VkSource *splits, const JsonbValue *json,
									  VkAttributeValue *values, bool *given,
									  VkComplaints *complaints);

/* Any JSON as text for an error, cut to a reasonable length. */
extern char *vk_json_excerpt(const JsonbValue *json);

/* Messages, in the source's format; the value of a deleted point is NULL. */
extern bytea *vk_message_key(const VkSource *source, const VkDataPoint *point);
extern bytea *vk_message_value(const VkSource *source, const VkDataPoint *point);

/* {"id": 1, ...}: all attributes, or the permanent ones. */
extern void vk_attributes_to_json(const VkSource *source, const VkDataPoint *point,
								  bool permanent_only, StringInfo out);

#endif							/* VK_DATAPOINT_H */
