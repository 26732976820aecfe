CREATE TABLE pgwright."Observations" (
    "readAt" timestamptz NOT NULL,
    "subject" text NOT NULL,
    "subjectId" text NOT NULL,
    "calls" double precision,
    "ms" double precision,
    "squareMs" double precision,
    "blocks" double precision,
    "walBytes" double precision,
    "updated" double precision,
    "hotUpdated" double precision,
    "live" double precision,
    "evicted" double precision,
    CONSTRAINT "Observations_pkey" PRIMARY KEY ("readAt", "subject", "subjectId"),
    CONSTRAINT "Observations_subject" CHECK ("subject" = ANY (ARRAY['server', 'statement', 'table', 'index']))
);
COMMENT ON TABLE pgwright."Observations" IS
    'Counters of the server as pgwright verify read them, one row per reading and statement, table or index; what happened in a window is the difference of two readings. Pruned by pgwright verify: some 8 days, or longer while an action is being watched. May be emptied at any time; what is watched then has no windows from before.';
COMMENT ON COLUMN pgwright."Observations"."readAt" IS 'When the counters were read.';
COMMENT ON COLUMN pgwright."Observations"."subject" IS 'server (one row per reading), statement, table or index.';
COMMENT ON COLUMN pgwright."Observations"."subjectId" IS 'Id of the statement, oid of the table or index; of the server, what changes whenever its counters begin anew.';
COMMENT ON COLUMN pgwright."Observations"."calls" IS 'Executions of the statement so far; scans of the index so far.';
COMMENT ON COLUMN pgwright."Observations"."ms" IS 'Execution time of the statement so far, in milliseconds.';
COMMENT ON COLUMN pgwright."Observations"."squareMs" IS 'Sum of the squares of its execution times so far.';
COMMENT ON COLUMN pgwright."Observations"."blocks" IS 'Blocks of tables, indexes and temporary files that the statement touched so far.';
COMMENT ON COLUMN pgwright."Observations"."walBytes" IS 'Bytes that the statement wrote to the write-ahead log so far.';
COMMENT ON COLUMN pgwright."Observations"."updated" IS 'Rows of the table updated so far.';
COMMENT ON COLUMN pgwright."Observations"."hotUpdated" IS 'Those of them updated without touching an index.';
COMMENT ON COLUMN pgwright."Observations"."live" IS 'Rows of the table, as the server estimates.';
COMMENT ON COLUMN pgwright."Observations"."evicted" IS 'Of the server: entries that pg_stat_statements threw away so far.';
