SELECT count(*) FROM kinds.person WHERE NOT active AND mail IS NULL;
