-- The outbox: messages that are produced if and when the transaction that wrote them commits.

CREATE TABLE vektonn.outbox (
	outbox_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	xid			xid8 NOT NULL DEFAULT pg_current_xact_id(),
	owner		regrole NOT NULL DEFAULT current_user::regrole,
	server		name NOT NULL,
	topic		text NOT NULL CHECK (length(topic) BETWEEN 1 AND 249),
	key			bytea,
	value		bytea,
	created_at	timestamptz NOT NULL DEFAULT now(),
	attempts	integer NOT NULL DEFAULT 0,
	failed_at	timestamptz,
	error		text,
	error_code	text,
	home		text NOT NULL DEFAULT vektonn._database_identity()
);
COMMENT ON TABLE vektonn.outbox IS 'messages to be produced, by a worker, when their transaction has committed';
COMMENT ON COLUMN vektonn.outbox.owner IS 'whose USAGE of the server and user mapping counts';
COMMENT ON COLUMN vektonn.outbox.error_code IS 'set where the message is refused for good and was set aside; null: it is tried again';
COMMENT ON SEQUENCE vektonn.outbox_outbox_id_seq IS 'numbers messages of the outbox';
CREATE INDEX ON vektonn.outbox (xid);

CREATE TABLE vektonn.outbox_commit (
	xid				xid8 PRIMARY KEY,
	commit_number	bigint GENERATED ALWAYS AS IDENTITY
);
COMMENT ON TABLE vektonn.outbox_commit IS 'in which order the transactions of the outbox committed';
COMMENT ON SEQUENCE vektonn.outbox_commit_commit_number_seq IS 'numbers commits that filled the outbox';

ALTER TABLE vektonn.outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY owned ON vektonn.outbox USING (pg_has_role(owner, 'USAGE'))
	WITH CHECK (owner = current_user::regrole AND xid = pg_current_xact_id());
GRANT SELECT, DELETE, INSERT (server, topic, key, value) ON vektonn.outbox TO PUBLIC;

-- Numbers come in the order of commits, because the lock is held from here, which is the end of the
-- transaction, to its commit.
CREATE FUNCTION vektonn._outbox_commit() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM vektonn.outbox_commit c WHERE c.xid = NEW.xid) THEN
		PERFORM pg_advisory_xact_lock('vektonn.outbox_commit'::regclass::oid::integer, 0);
		INSERT INTO vektonn.outbox_commit (xid) VALUES (NEW.xid);
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION vektonn._outbox_commit() IS 'notes the order of commits';
CREATE CONSTRAINT TRIGGER outbox_commit AFTER INSERT ON vektonn.outbox
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION vektonn._outbox_commit();

CREATE FUNCTION vektonn._outbox_filled() RETURNS trigger
	AS 'MODULE_PATHNAME', 'vk_outbox_filled' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION vektonn._outbox_filled() IS 'wakes the outbox worker at commit';
CREATE TRIGGER outbox_filled AFTER INSERT ON vektonn.outbox
	FOR EACH STATEMENT EXECUTE FUNCTION vektonn._outbox_filled();

CREATE FUNCTION vektonn.enqueue(server name, topic text, keys bytea[], "values" bytea[]) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM vektonn._require_launcher();
	IF $1 IS NULL OR $2 IS NULL OR $3 IS NULL OR $4 IS NULL THEN
		RAISE EXCEPTION 'server, topic, keys and values must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF cardinality($3) <> cardinality($4) THEN
		RAISE EXCEPTION 'there are % keys and % values', cardinality($3), cardinality($4) USING ERRCODE = 'array_subscript_error';
	ELSIF NOT EXISTS (SELECT FROM pg_foreign_server f JOIN pg_foreign_data_wrapper w ON w.oid = f.srvfdw
			WHERE f.srvname = $1 AND w.fdwname = 'vektonn_kafka') THEN
		RAISE EXCEPTION 'Kafka server "%" does not exist', $1 USING ERRCODE = 'undefined_object';
	ELSIF NOT has_server_privilege($1::text, 'USAGE') THEN
		RAISE EXCEPTION 'permission denied for foreign server %', $1 USING ERRCODE = 'insufficient_privilege';
	END IF;
	INSERT INTO vektonn.outbox (server, topic, key, value)
		SELECT $1, $2, m.key, m.value FROM unnest($3, $4) WITH ORDINALITY m (key, value, o) ORDER BY m.o;
	RETURN cardinality($3);
END $$;
COMMENT ON FUNCTION vektonn.enqueue(name, text, bytea[], bytea[]) IS
	'puts messages into the outbox: they are produced after this transaction commits, in the order of commits, at least once';

CREATE VIEW vektonn.outbox_status WITH (security_invoker = true) AS
	SELECT o.server, o.topic, count(*) FILTER (WHERE o.error_code IS NULL) AS pending,
		count(*) FILTER (WHERE o.error_code IS NOT NULL) AS refused, min(o.created_at) AS oldest, max(o.attempts) AS attempts,
		(array_agg(o.error ORDER BY o.failed_at DESC NULLS LAST))[1] AS last_error, max(o.failed_at) AS last_error_at
	FROM vektonn.outbox o GROUP BY o.server, o.topic;
COMMENT ON VIEW vektonn.outbox_status IS 'what waits in the outbox, by server and topic, and why';
GRANT SELECT ON vektonn.outbox_status TO PUBLIC;
