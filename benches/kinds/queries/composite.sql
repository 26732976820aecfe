SELECT count(*) FROM kinds.person WHERE (home).zip = 17;
