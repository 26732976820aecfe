SELECT id FROM kinds.person WHERE data @> '{"kind": "k7", "level": 107}';
