SELECT count(*) FROM kinds.event e JOIN kinds.address a ON a.id = e.id WHERE e.at = date '2026-01-05';
