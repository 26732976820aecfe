-- Names of the enum types: what their values can be is written in the schema.
SELECT t.typname AS name FROM pg_catalog.pg_type AS t WHERE t.typtype = 'e'
