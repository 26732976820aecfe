SELECT count(*) FROM kinds.person WHERE data ->> 'kind' = 'k3';
