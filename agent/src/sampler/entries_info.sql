-- One row: since when the entries are counted and how many were lost.
SELECT i.stats_reset AS since, i.dealloc AS evicted FROM {schema}.pg_stat_statements_info AS i
