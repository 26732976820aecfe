UPDATE kinds.person p SET weight = 1 FROM kinds.address a WHERE a.person = p.id AND a.zip = 300;
