WITH paid AS MATERIALIZED (SELECT id, born FROM kinds.person WHERE status = 'paid') SELECT born, count(*) FROM paid GROUP BY born ORDER BY count(*) DESC LIMIT 10;
