SELECT * FROM kinds.wide ORDER BY extra, id;
