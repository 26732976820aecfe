-- Prints what is wrong in a database after pgwright has come to rest, one line each; nothing if all is well.
-- It shares no code with the program: names, states and the lock's number are written down here a second time.

SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'pgwright' AND c.relname = 'OptimizationLog') AS journal \gset
\if :journal
-- I1: every index of ours has exactly one row that says so, and what that row says is what is there. The index of a
-- partition is named in the row of the whole, hangs on that, and is the same but for its table.
SELECT format('I1: index %s has %s rows in observing', c.oid::regclass, count(l.*))
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pgwright."OptimizationLog" l ON l."kind" = 'create_index' AND l."state" IN ('observing', 'kept')
  AND (l."indexName" = c.relname AND l."schemaName" = n.nspname AND l."tableOid" = i.indrelid AND l."indexOid" = c.oid
       AND l."definition" = pg_get_indexdef(c.oid) AND right(c.relname, 8) = left(l."actionKey", 8)
       OR l."indexOid" = pg_partition_root(c.oid) AND l."indexOid" <> c.oid
       AND split_part(l."definition", ' USING ', 2) = split_part(pg_get_indexdef(c.oid), ' USING ', 2)
       AND EXISTS (SELECT FROM jsonb_array_elements(l."operation" -> 'parts') p
                   WHERE p ->> 'name' = c.relname AND (p -> 'table' ->> 'oid')::bigint = i.indrelid))
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
SELECT format('I1: row %s is in %s, but its index %s %s', l.id, l."state", p ->> 'name',
              CASE WHEN c.oid IS NULL THEN 'is not there' ELSE 'is there' END)
FROM pgwright."OptimizationLog" l CROSS JOIN jsonb_array_elements(l."operation" -> 'parts') p
LEFT JOIN (pg_class c JOIN pg_index i ON i.indexrelid = c.oid)
  ON c.relname = p ->> 'name' AND (p -> 'table' ->> 'oid')::bigint = i.indrelid
WHERE l."state" = 'observing' AND c.oid IS NULL
   OR l."state" IN ('aborted', 'reverted') AND c.oid IS NOT NULL AND NOT EXISTS
      (SELECT FROM pgwright."OptimizationLog" o WHERE o."actionKey" = l."actionKey" AND o."state" = 'observing');
-- I1: the same of statistics, which also have to be filled.
SELECT format('I1: statistics %s have %s rows in observing', s.stxname, count(l.*))
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
LEFT JOIN pgwright."OptimizationLog" l ON l."kind" = 'create_statistics' AND l."state" IN ('observing', 'kept')
  AND l."indexName" = s.stxname AND l."schemaName" = n.nspname AND l."tableOid" = s.stxrelid AND l."indexOid" = s.oid
  AND l."definition" = pg_get_statisticsobjdef(s.oid) AND right(s.stxname, 8) = left(l."actionKey", 8)
WHERE s.stxname ~ '^pgw_.*_[0-9a-f]{8}$' GROUP BY s.oid, s.stxname HAVING count(l.*) <> 1;
SELECT format('I1: row %s is in %s, but its statistics %s', l.id, l."state",
              CASE WHEN s.oid IS NULL THEN 'are not there' ELSE 'are there' END)
FROM pgwright."OptimizationLog" l
LEFT JOIN pg_namespace n ON n.nspname = l."schemaName"
LEFT JOIN pg_statistic_ext s ON s.stxnamespace = n.oid AND s.stxname = l."indexName"
WHERE l."kind" = 'create_statistics' AND (l."state" = 'observing' AND s.oid IS NULL
   OR l."state" IN ('aborted', 'reverted') AND s.oid IS NOT NULL AND NOT EXISTS
      (SELECT FROM pgwright."OptimizationLog" o WHERE o."indexOid" = s.oid AND o."state" = 'observing'));
SELECT format('I1: statistics %s tell nothing', s.stxname) FROM pg_statistic_ext s
WHERE s.stxname ~ '^pgw_.*_[0-9a-f]{8}$' AND NOT EXISTS (SELECT FROM pg_statistic_ext_data d WHERE d.stxoid = s.oid);
-- I1: what says that it was vacuumed was.
SELECT format('I1: row %s (vacuum) is kept, but no page of %I is marked', l.id, l."tableName")
FROM pgwright."OptimizationLog" l JOIN pg_class c ON c.oid = l."tableOid"
WHERE l."kind" = 'vacuum' AND l."state" = 'kept' AND c.relallvisible = 0;
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
WHERE "kind" NOT IN ('analyze', 'vacuum') AND ("undo" = '' OR "operation" = '{}' OR "kind" = 'drop_index' AND NOT "before" ? 'index');
\else
SELECT format('I1: index %s has no journal', c.oid::regclass) FROM pg_class c
WHERE c.relkind IN ('i', 'I') AND c.relname ~ '^pgw_.*_[0-9a-f]{8}$';
SELECT format('I1: statistics %s have no journal', stxname) FROM pg_statistic_ext
WHERE stxname ~ '^pgw_.*_[0-9a-f]{8}$';
\endif
-- I2: nothing unusable is left.
SELECT format('I2: index %s is unusable', indexrelid::regclass) FROM pg_index
WHERE NOT (indisvalid AND indisready AND indislive);
-- I4: no two runs at a time, and none once all have ended.
SELECT format('I4: process %s holds the lock of a run', pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND classid = 4245349818
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
