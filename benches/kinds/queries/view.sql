SELECT status, count(*) FROM kinds.active_person WHERE born > date '2000-01-01' GROUP BY status;
