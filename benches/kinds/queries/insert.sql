INSERT INTO kinds.hollow SELECT id, id FROM kinds.person WHERE status = 'lost';
