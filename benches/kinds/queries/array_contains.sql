SELECT id FROM kinds.person WHERE tags @> ARRAY['t3', 't49'];
