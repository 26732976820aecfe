SELECT id FROM kinds.person ORDER BY spot <-> point(50, 50) LIMIT 10;
