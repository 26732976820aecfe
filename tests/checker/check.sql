-- Prints what is wrong in a database after pgwright has come to rest, one line each; nothing if all is well.
-- It shares no code with the program: names, states and the lock's number are written down here a second time.

SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'pgwright' AND c.relname = 'OptimizationLog') AS journal \gset
\if :journal
-- I1: every index of ours has exactly one row that says so, and what that row says is what is there.
SELECT format('I1: index %s has %s rows in observing', c.oid::regclass, count(l.*))
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pgwright."OptimizationLog" l ON l."kind" = 'create_index' AND l."state" IN ('observing', 'kept')
  AND l."indexName" = c.relname AND l."schemaName" = n.nspname AND l."tableOid" = i.indrelid AND l."indexOid" = c.oid
  AND l."definition" = pg_get_indexdef(c.oid) AND right(c.relname, 8) = left(l."actionKey", 8)
WHERE c.relname ~ '^pgw_.*_[0-9a-f]{8}$' GROUP BY c.oid HAVING count(l.*) <> 1;
SELECT format('I1: row %s is in %s, but its index %s', l.id, l."state",
              CASE WHEN c.oid IS NULL THEN 'is not there' ELSE 'is there' END)
FROM pgwright."OptimizationLog" l
LEFT JOIN pg_namespace n ON n.nspname = l."schemaName"
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = l."indexName"
WHERE (l."kind" = 'create_index' AND l."state" = 'observing' OR l."kind" = 'drop_index' AND l."state" = 'reverted') AND c.oid IS NULL
   OR l."kind" = 'drop_index' AND l."state" = 'observing' AND c.oid IS NOT NULL
   OR l."kind" = 'create_index' AND l."state" IN ('aborted', 'reverted') AND c.oid IS NOT NULL AND NOT EXISTS
      (SELECT FROM pgwright."OptimizationLog" o WHERE o."indexOid" = c.oid AND o."state" = 'observing');
-- I5: rows have moved along the diagram only, one step at a time, and have come to rest.
SELECT format('I5: row %s moved from %s to %s', m.id, m.old, m.new)
FROM checker.moves m LEFT JOIN checker.allowed a ON a.old IS NOT DISTINCT FROM m.old AND a.new = m.new
WHERE a.new IS NULL AND m.old IS DISTINCT FROM m.new;
SELECT format('I5: row %s moved from %s, where it was not', m.id, m.old)
FROM (SELECT *, lag(new) OVER (PARTITION BY id ORDER BY n) AS before FROM checker.moves) m
WHERE m.old IS DISTINCT FROM m.before;
SELECT format('I5: row %s (%s) rests in %s: %s', id, "kind", "state", coalesce("note", "lastError"))
FROM pgwright."OptimizationLog" WHERE "state" NOT IN ('observing', 'kept', 'aborted', 'reverted');
SELECT format('I9: row %s (%s, %s) has no way back', id, "kind", "state") FROM pgwright."OptimizationLog"
WHERE "kind" <> 'analyze' AND ("undo" = '' OR "operation" = '{}' OR "kind" = 'drop_index' AND NOT "before" ? 'index');
\else
SELECT format('I1: index %s has no journal', c.oid::regclass) FROM pg_class c
WHERE c.relkind = 'i' AND c.relname ~ '^pgw_.*_[0-9a-f]{8}$';
\endif
-- I2: nothing unusable is left.
SELECT format('I2: index %s is unusable', indexrelid::regclass) FROM pg_index
WHERE NOT (indisvalid AND indisready AND indislive);
-- I4: no two runs at a time, and none once all have ended.
SELECT format('I4: process %s holds the lock of a run', pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND classid = 4245349818
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
