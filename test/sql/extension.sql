-- The extension installs into a fresh database with nothing preloaded, owns
-- the schema vektonn, and goes away whole.
CREATE EXTENSION vektonn;
SELECT extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'vektonn';
SELECT obj_description('vektonn'::regnamespace);
DROP EXTENSION vektonn;
SELECT count(*) FROM pg_namespace WHERE nspname = 'vektonn';
CREATE EXTENSION vektonn;
