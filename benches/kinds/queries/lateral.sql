SELECT p.id, r.value FROM kinds.person p, LATERAL (SELECT value FROM kinds.reading r WHERE r.device = p.id ORDER BY at DESC LIMIT 1) r WHERE p.id < 100;
