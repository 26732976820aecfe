CREATE VIEW pgwright."Actions" AS
    SELECT "id", "state", "kind", "schemaName" || '.' || "tableName" AS "table", "indexName" AS "index",
           "rule", "confidence", round(("impact" ->> 'ms_per_day')::numeric) AS "msPerDay",
           "appliedAt", "revertedAt", "verdict", COALESCE("lastError", "note") AS "remark", "statement", "undo"
    FROM pgwright."OptimizationLog";
COMMENT ON VIEW pgwright."Actions" IS 'The journal of pgwright in short: SELECT * FROM pgwright."Actions" ORDER BY id;';
COMMENT ON COLUMN pgwright."Actions"."id" IS 'Number of the action, for pgwright log and pgwright rollback.';
COMMENT ON COLUMN pgwright."Actions"."state" IS 'Where it stands; the comment on pgwright."OptimizationLog"."state" explains each word.';
COMMENT ON COLUMN pgwright."Actions"."kind" IS 'create_index, drop_index, analyze, create_statistics or vacuum.';
COMMENT ON COLUMN pgwright."Actions"."table" IS 'Schema and name of the table.';
COMMENT ON COLUMN pgwright."Actions"."index" IS 'The index or statistics that were made or dropped.';
COMMENT ON COLUMN pgwright."Actions"."rule" IS 'The rule that proposed it; pgwright rules explains it.';
COMMENT ON COLUMN pgwright."Actions"."confidence" IS 'Probability that it helps, 0 to 1, when it was applied.';
COMMENT ON COLUMN pgwright."Actions"."msPerDay" IS 'Execution time that it was expected to save, in milliseconds a day.';
COMMENT ON COLUMN pgwright."Actions"."appliedAt" IS 'When it was found in place.';
COMMENT ON COLUMN pgwright."Actions"."revertedAt" IS 'When it was found taken back.';
COMMENT ON COLUMN pgwright."Actions"."verdict" IS 'What watching it led to. NULL: not decided yet.';
COMMENT ON COLUMN pgwright."Actions"."remark" IS 'The last error, or else what a person should know.';
COMMENT ON COLUMN pgwright."Actions"."statement" IS 'What was run, for people to read.';
COMMENT ON COLUMN pgwright."Actions"."undo" IS 'What takes it back, for people to run by hand if they must.';
