SELECT count(*) FROM kinds.person WHERE spans && int4range(100, 105);
