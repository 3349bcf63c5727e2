\echo Use "CREATE EXTENSION vektonn" to load this file. \quit

CREATE SCHEMA vektonn;
COMMENT ON SCHEMA vektonn IS 'vektonn: functions, views and settings beside the vector types';
GRANT USAGE ON SCHEMA vektonn TO PUBLIC;
