SELECT count(*) FROM kinds.person p WHERE EXISTS (SELECT FROM kinds.address a WHERE a.person = p.id AND a.country = 'country 1');
