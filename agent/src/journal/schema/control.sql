CREATE TABLE pgwright."Control" (
    "single" boolean NOT NULL DEFAULT true,
    "format" integer NOT NULL,
    "paused" boolean NOT NULL DEFAULT false,
    "pausedUntil" timestamptz,
    "pausedBecause" text,
    CONSTRAINT "Control_pkey" PRIMARY KEY ("single"),
    CONSTRAINT "Control_only_one_row" CHECK ("single")
);
INSERT INTO pgwright."Control" ("format") VALUES (2);
COMMENT ON TABLE pgwright."Control" IS
    'The switch that stops pgwright, one row. UPDATE pgwright."Control" SET "paused" = true, "pausedBecause" = ''why''; and SET "paused" = false, "pausedUntil" = NULL lets it go on.';
COMMENT ON COLUMN pgwright."Control"."single" IS 'Keeps a second row away.';
COMMENT ON COLUMN pgwright."Control"."format" IS 'Version of the tables in this schema. Do not edit: a pgwright of another version refuses to work with them.';
COMMENT ON COLUMN pgwright."Control"."paused" IS 'While true, pgwright begins nothing and cancels the build at work; a rollback that a person asks for is carried out. UPDATE pgwright."Control" SET "paused" = true;';
COMMENT ON COLUMN pgwright."Control"."pausedUntil" IS 'Before this time pgwright changes nothing, whatever "paused" says. UPDATE pgwright."Control" SET "pausedUntil" = now() + interval ''8 hours'';';
COMMENT ON COLUMN pgwright."Control"."pausedBecause" IS 'Why, for whoever asks pgwright what it waits for.';
