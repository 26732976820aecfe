SELECT count(*) FROM kinds.address WHERE person NOT IN (SELECT id FROM kinds.person WHERE NOT active);
