SELECT count(*) FROM kinds.grown g JOIN kinds.scratch s ON s.id = g.id;
