-- Ten indexes of several kinds that change some of the plans. One statement a line.
CREATE INDEX kinds_status ON kinds.person (status, seen DESC) WHERE active;
CREATE INDEX kinds_zip ON kinds.address (zip) INCLUDE (city);
CREATE INDEX kinds_year ON kinds.person ((date_part('year', born)));
CREATE INDEX kinds_jsonb ON kinds.person USING gin (data jsonb_path_ops);
CREATE INDEX kinds_scores ON kinds.person USING gin (scores);
CREATE INDEX kinds_address ON kinds.person USING gist (address inet_ops);
CREATE INDEX kinds_code ON kinds.person USING hash (code);
CREATE INDEX kinds_at ON kinds.reading_q1 USING brin (at);
CREATE INDEX kinds_bucket ON kinds.grown (bucket);
CREATE INDEX kinds_name ON kinds.person USING spgist (name text_ops);
