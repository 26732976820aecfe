CREATE VIEW pgwright."Actions" AS
    SELECT "id", "state", "kind", "schemaName" || '.' || "tableName" AS "table", "indexName" AS "index",
           "rule", "confidence", round(("impact" ->> 'ms_per_day')::numeric) AS "msPerDay",
           "appliedAt", "revertedAt", "verdict", coalesce("lastError", "note") AS "remark", "statement", "undo"
    FROM pgwright."OptimizationLog";
COMMENT ON VIEW pgwright."Actions" IS 'The journal of pgwright in short: SELECT * FROM pgwright."Actions" ORDER BY id;';
