SELECT count(*) FROM kinds.reading WHERE value > kinds.threshold() AND device = 4;
