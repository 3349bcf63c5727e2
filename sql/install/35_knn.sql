-- Batch search.

CREATE FUNCTION vektonn.knn(index regclass, query_vectors @extschema@.vector[], k integer, filter jsonb DEFAULT NULL)
	RETURNS TABLE (query_number integer, rank integer, distance double precision, ctid tid)
	AS 'MODULE_PATHNAME', 'vk_knn' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION vektonn.knn(regclass, @extschema@.vector[], integer, jsonb) IS
	'the k nearest rows of an index for each query vector, by one pass over the index; filter is an object of split columns';

CREATE FUNCTION vektonn.knn(index regclass, query_vectors @extschema@.halfvec[], k integer, filter jsonb DEFAULT NULL)
	RETURNS TABLE (query_number integer, rank integer, distance double precision, ctid tid)
	AS 'MODULE_PATHNAME', 'vk_knn' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION vektonn.knn(regclass, @extschema@.halfvec[], integer, jsonb) IS
	'the k nearest rows of an index for each query vector, by one pass over the index; filter is an object of split columns';

CREATE FUNCTION vektonn.knn(index regclass, query_vectors @extschema@.sparsevec[], k integer, filter jsonb DEFAULT NULL)
	RETURNS TABLE (query_number integer, rank integer, distance double precision, ctid tid)
	AS 'MODULE_PATHNAME', 'vk_knn' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION vektonn.knn(regclass, @extschema@.sparsevec[], integer, jsonb) IS
	'the k nearest rows of an index for each query vector; filter is an object of split columns';
