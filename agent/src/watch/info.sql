-- One row: since when pg_stat_statements counts, and how many entries it threw away.
SELECT i.stats_reset::text AS since, i.dealloc::float8 AS evicted FROM {schema}.pg_stat_statements_info AS i
