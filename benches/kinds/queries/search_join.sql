SELECT a.city, count(*) FROM kinds.person p JOIN kinds.address a ON a.person = p.id WHERE p.words @@ to_tsquery('english', 'dogs') GROUP BY a.city;
