SELECT id FROM kinds.person WHERE kinds.initial(name) = 'E' ORDER BY born DESC LIMIT 5;
