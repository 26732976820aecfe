SELECT id, name FROM kinds.person WHERE date_part('year', born) = 1955;
