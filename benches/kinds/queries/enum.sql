SELECT id, seen FROM kinds.person WHERE status = 'lost' AND active ORDER BY seen DESC LIMIT 20;
