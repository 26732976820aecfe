CREATE TABLE pgwright."OptimizationLog" (
    "id" bigint GENERATED ALWAYS AS IDENTITY,
    "runId" uuid NOT NULL,
    "actionKey" text NOT NULL,
    "kind" text NOT NULL,
    "state" text NOT NULL,
    "schemaName" text NOT NULL,
    "tableName" text NOT NULL,
    "tableOid" oid NOT NULL,
    "indexName" text,
    "indexOid" oid,
    "definition" text,
    "rule" text NOT NULL,
    "statement" text NOT NULL,
    "undo" text NOT NULL,
    "confidence" double precision NOT NULL,
    "reach" text NOT NULL,
    "impact" jsonb NOT NULL,
    "evidence" jsonb NOT NULL,
    "helps" jsonb NOT NULL,
    "operation" jsonb NOT NULL,
    "before" jsonb NOT NULL,
    "systemIdentifier" text,
    "databaseOid" oid NOT NULL,
    "serverVersion" integer NOT NULL,
    "agentVersion" text NOT NULL,
    "backendPid" integer NOT NULL,
    "attempts" integer NOT NULL DEFAULT 0,
    "lastSqlstate" text,
    "lastError" text,
    "note" text,
    "createdAt" timestamptz NOT NULL DEFAULT clock_timestamp(),
    "updatedAt" timestamptz NOT NULL DEFAULT clock_timestamp(),
    "appliedAt" timestamptz,
    "revertedAt" timestamptz,
    "verdict" text,
    "verdictDetail" jsonb,
    "blockedUntil" timestamptz,
    "timeline" integer,
    "serverAddress" text,
    CONSTRAINT "OptimizationLog_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "OptimizationLog_state" CHECK ("state" = ANY (ARRAY[
        'intent', 'applying', 'verifying', 'observing', 'kept', 'aborted', 'cleanup_pending', 'conflict',
        'reverting', 'reverted', 'revert_pending']))
);
CREATE UNIQUE INDEX "OptimizationLog_one_per_action" ON pgwright."OptimizationLog" USING btree ("actionKey")
    WHERE "state" <> ALL (ARRAY['kept', 'aborted', 'conflict', 'reverted']);
CREATE UNIQUE INDEX "OptimizationLog_one_per_table" ON pgwright."OptimizationLog" USING btree ("tableOid")
    WHERE "state" = ANY (ARRAY['intent', 'applying', 'verifying', 'reverting']);
COMMENT ON TABLE pgwright."OptimizationLog" IS
    'The journal of pgwright: one row per action, written before the action. Do not edit: pgwright log shows it, pgwright rollback undoes it.';
COMMENT ON COLUMN pgwright."OptimizationLog"."id" IS 'Number of the action, in the order of writing.';
COMMENT ON COLUMN pgwright."OptimizationLog"."runId" IS 'The run that it belongs to.';
COMMENT ON COLUMN pgwright."OptimizationLog"."actionKey" IS 'SHA-256 of table and operation; equal actions have equal keys. Its first eight digits end the name of an index or statistics.';
COMMENT ON COLUMN pgwright."OptimizationLog"."kind" IS 'create_index, drop_index, analyze, create_statistics or vacuum.';
COMMENT ON COLUMN pgwright."OptimizationLog"."state" IS 'Where it stands: intent, applying, verifying; observing (in place), kept (in place for good), aborted (did not happen), cleanup_pending (an unusable index is left), conflict (a person has to look); reverting, reverted, revert_pending.';
COMMENT ON COLUMN pgwright."OptimizationLog"."schemaName" IS 'Schema of the table and of the index or statistics.';
COMMENT ON COLUMN pgwright."OptimizationLog"."tableName" IS 'The table.';
COMMENT ON COLUMN pgwright."OptimizationLog"."tableOid" IS 'Its oid.';
COMMENT ON COLUMN pgwright."OptimizationLog"."indexName" IS 'The index or statistics that were made or dropped.';
COMMENT ON COLUMN pgwright."OptimizationLog"."indexOid" IS 'Its oid when it was made or dropped.';
COMMENT ON COLUMN pgwright."OptimizationLog"."definition" IS 'The index or statistics as the server printed them (pg_get_indexdef or pg_get_statisticsobjdef under search_path pg_catalog).';
COMMENT ON COLUMN pgwright."OptimizationLog"."rule" IS 'The rule that proposed it.';
COMMENT ON COLUMN pgwright."OptimizationLog"."statement" IS 'What was run, for people to read. Never executed from here.';
COMMENT ON COLUMN pgwright."OptimizationLog"."undo" IS 'What takes it back, for people to run by hand if they must. Never executed from here.';
COMMENT ON COLUMN pgwright."OptimizationLog"."confidence" IS 'Probability that it helps, 0 to 1, when it was applied.';
COMMENT ON COLUMN pgwright."OptimizationLog"."reach" IS 'How far the rule may go: advise, ask or act.';
COMMENT ON COLUMN pgwright."OptimizationLog"."impact" IS 'What it was expected to bring: ms_per_day, bytes, write_ms_per_day.';
COMMENT ON COLUMN pgwright."OptimizationLog"."evidence" IS 'The facts for and against, with the weight of each.';
COMMENT ON COLUMN pgwright."OptimizationLog"."helps" IS 'The statements that it was meant to help, with their cost before and after.';
COMMENT ON COLUMN pgwright."OptimizationLog"."operation" IS 'The action as data: the ground of the undo.';
COMMENT ON COLUMN pgwright."OptimizationLog"."before" IS 'What was there before: the whole index that was dropped, the time of the previous ANALYZE or VACUUM.';
COMMENT ON COLUMN pgwright."OptimizationLog"."systemIdentifier" IS 'The server cluster in which it was done, where the role may read that.';
COMMENT ON COLUMN pgwright."OptimizationLog"."databaseOid" IS 'The database in which it was done.';
COMMENT ON COLUMN pgwright."OptimizationLog"."serverVersion" IS 'server_version_num of the server.';
COMMENT ON COLUMN pgwright."OptimizationLog"."agentVersion" IS 'Version of pgwright.';
COMMENT ON COLUMN pgwright."OptimizationLog"."backendPid" IS 'Server process that worked on it last.';
COMMENT ON COLUMN pgwright."OptimizationLog"."attempts" IS 'How often a statement that changes something was sent for it.';
COMMENT ON COLUMN pgwright."OptimizationLog"."lastSqlstate" IS 'Code of the last error.';
COMMENT ON COLUMN pgwright."OptimizationLog"."lastError" IS 'The last error.';
COMMENT ON COLUMN pgwright."OptimizationLog"."note" IS 'Anything else a person should know.';
COMMENT ON COLUMN pgwright."OptimizationLog"."createdAt" IS 'When the row was written, by the clock of the server as all times here.';
COMMENT ON COLUMN pgwright."OptimizationLog"."updatedAt" IS 'When it last moved.';
COMMENT ON COLUMN pgwright."OptimizationLog"."appliedAt" IS 'When the action was found in place.';
COMMENT ON COLUMN pgwright."OptimizationLog"."revertedAt" IS 'When it was found taken back.';
COMMENT ON COLUMN pgwright."OptimizationLog"."verdict" IS 'What watching it led to: kept, regressed, unused, writes_harmed, undecided (watched to the end), by_hand (a person took it back). NULL: not decided yet.';
COMMENT ON COLUMN pgwright."OptimizationLog"."verdictDetail" IS 'The figures behind the verdict.';
COMMENT ON COLUMN pgwright."OptimizationLog"."blockedUntil" IS 'The same action is not tried again before. UPDATE it to NULL to allow it at once.';
COMMENT ON COLUMN pgwright."OptimizationLog"."timeline" IS 'Timeline of the write-ahead log when the row was written: another one shows a failover in between.';
COMMENT ON COLUMN pgwright."OptimizationLog"."serverAddress" IS 'Address and port of the server when the row was written; NULL for a Unix socket.';
