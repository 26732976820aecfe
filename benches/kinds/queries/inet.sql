SELECT id FROM kinds.person WHERE address << inet '10.7.0.0/16';
