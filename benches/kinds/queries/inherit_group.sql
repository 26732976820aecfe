SELECT note, count(*) FROM kinds.event GROUP BY note;
