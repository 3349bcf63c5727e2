-- Operator classes of sparsevec for the index access method: an inverted index.

CREATE OPERATOR CLASS @extschema@.sparsevec_l2_ops DEFAULT FOR TYPE @extschema@.sparsevec USING vektonn AS
	OPERATOR 1 @extschema@.<-> (@extschema@.sparsevec, @extschema@.sparsevec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_sparsevec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.sparsevec_l2_ops USING vektonn IS 'ORDER BY sparsevec <->';
COMMENT ON OPERATOR CLASS @extschema@.sparsevec_l2_ops USING vektonn IS 'ORDER BY sparsevec <->';

CREATE OPERATOR CLASS @extschema@.sparsevec_ip_ops FOR TYPE @extschema@.sparsevec USING vektonn AS
	OPERATOR 2 @extschema@.<#> (@extschema@.sparsevec, @extschema@.sparsevec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_sparsevec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.sparsevec_ip_ops USING vektonn IS 'ORDER BY sparsevec <#>';
COMMENT ON OPERATOR CLASS @extschema@.sparsevec_ip_ops USING vektonn IS 'ORDER BY sparsevec <#>';

CREATE OPERATOR CLASS @extschema@.sparsevec_cosine_ops FOR TYPE @extschema@.sparsevec USING vektonn AS
	OPERATOR 3 @extschema@.<=> (@extschema@.sparsevec, @extschema@.sparsevec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_sparsevec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.sparsevec_cosine_ops USING vektonn IS 'ORDER BY sparsevec <=>';
COMMENT ON OPERATOR CLASS @extschema@.sparsevec_cosine_ops USING vektonn IS 'ORDER BY sparsevec <=>';

CREATE OPERATOR CLASS @extschema@.sparsevec_l1_ops FOR TYPE @extschema@.sparsevec USING vektonn AS
	OPERATOR 4 @extschema@.<+> (@extschema@.sparsevec, @extschema@.sparsevec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_sparsevec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.sparsevec_l1_ops USING vektonn IS 'ORDER BY sparsevec <+>';
COMMENT ON OPERATOR CLASS @extschema@.sparsevec_l1_ops USING vektonn IS 'ORDER BY sparsevec <+>';

CREATE OPERATOR CLASS @extschema@.sparsevec_jaccard_ops FOR TYPE @extschema@.sparsevec USING vektonn AS
	OPERATOR 5 @extschema@.<%> (@extschema@.sparsevec, @extschema@.sparsevec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_sparsevec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.sparsevec_jaccard_ops USING vektonn IS 'ORDER BY sparsevec <%>';
COMMENT ON OPERATOR CLASS @extschema@.sparsevec_jaccard_ops USING vektonn IS 'ORDER BY sparsevec <%>';
