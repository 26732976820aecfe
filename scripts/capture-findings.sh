#!/bin/sh
# Captures the plans in planparse/tests/findings: for each pattern one in which it must fire and one that is a near miss.
# Usage: scripts/capture-findings.sh MAJOR CONNECTION, with psql on the PATH, as a superuser of an empty database that may be filled.
set -eu
major=$1
connection=$2
folder=$(dirname "$0")/../planparse/tests/findings
mkdir -p "$folder"

ask() {
    psql -X -A -t -q -v ON_ERROR_STOP=1 -d "$connection" "$@"
}

ask <<'SQL'
set client_min_messages = warning;
drop schema if exists fire cascade;
create schema fire;
set search_path = fire;
create table orders (id int primary key, customer int not null, region int not null, placed date not null, note text not null);
insert into orders select i, i % 500, i % 5, date '2026-01-01' + i % 300, 'note ' || i from generate_series(1, 200000) i;
create index orders_placed on orders (placed);
create table line (id int primary key, order_id int not null, total int not null);
insert into line select i, 1 + i % 20000, i % 90 from generate_series(1, 60000) i;
create index line_order on line (order_id);
create table a (x int, y int, z int);
insert into a select i, i % 100, i % 100 from generate_series(1, 1000) i;
create table pairs (id int, p int, q int);
insert into pairs select i, i % 100, i % 100 from generate_series(1, 200000) i;
create index pairs_p on pairs (p);
create table parent (id int primary key);
insert into parent select i from generate_series(1, 20000) i;
create table child (id int primary key, parent_id int references parent);
insert into child select i, 10000 + i % 1000 from generate_series(1, 3000) i;
create table child_indexed (id int primary key, parent_id int references parent);
insert into child_indexed select i, 10000 + i % 1000 from generate_series(1, 3000) i;
create index on child_indexed (parent_id);
create table part (id int, placed date) partition by range (placed);
do $$ begin for m in 1..12 loop
  execute format('create table part_%s partition of part for values from (%L) to (%L)', m,
    date '2026-01-01' + (m - 1) * interval '1 month', date '2026-01-01' + m * interval '1 month');
end loop; end $$;
insert into part select i, date '2026-01-01' + i % 365 from generate_series(1, 120000) i;
create table wide (id int, body text);
insert into wide select i, repeat(md5(i::text), 40) from generate_series(1, 30000) i;
alter table wide alter column body set storage plain;
create function many() returns setof int language plpgsql as $$ begin return query select g from generate_series(1, 50000) g; end $$;
create function declared() returns setof int language plpgsql rows 50000 as $$ begin return query select g from generate_series(1, 50000) g; end $$;
vacuum (analyze) orders, line, a, pairs, parent, child, child_indexed, part, wide;
create table settled (id int primary key, v text) with (autovacuum_enabled = off);
insert into settled select i, repeat('x', 300) from generate_series(1, 60000) i;
vacuum (analyze) settled;
update settled set v = 'y' where id <= 300;
do $$ begin for d in 1..10 loop
  execute format('create table dim%s (id int primary key, v int)', d);
  execute format('insert into dim%s select i, i from generate_series(1, 2000) i', d);
end loop; end $$;
analyze;
create table fresh (id int primary key, v text) with (autovacuum_enabled = off);
insert into fresh select i, repeat('x', 300) from generate_series(1, 60000) i;
checkpoint;
SQL

# capture NAME SETTINGS STATEMENT
capture() {
    ask -c "set search_path = fire" -c "set max_parallel_workers_per_gather = 0" -c "set jit = off" -c "set track_io_timing = off" \
        -c "$2" -c "begin" -c "explain (analyze, buffers, settings, format json) $3" -c "rollback" > "$folder/pg${major}_$1.json"
}

capture discarding_scan_fires "select" "select * from orders where customer = 7"
capture discarding_scan_silent "select" "select * from orders where region = 3"
capture discarding_index_scan_fires "set enable_seqscan = off; set enable_bitmapscan = off" "select * from orders where placed < date '2026-03-01' and customer = 7"
capture discarding_index_scan_silent "set enable_seqscan = off; set enable_bitmapscan = off" "select * from orders where placed < date '2026-03-01' and customer < 150"
capture ordered_walk_fires "set enable_sort = off" "select * from orders where region = 7 order by id limit 5"
capture ordered_walk_silent "set enable_sort = off" "select * from orders where region = 3 order by id limit 300"
capture looping_join_fires "select" "select count(*) from a a1 join a a2 on abs(a1.x - a2.x) < 5"
capture looping_join_silent "select" "select count(*) from a a1 join a a2 on a1.x < a2.x"
capture repeated_subplan_fires "select" "select o.id, (select max(total) from line l where l.order_id = o.id) from orders o where o.id <= 5000"
capture repeated_subplan_silent "select" "select o.id, (select max(total) from line l where l.order_id = o.id) from orders o where o.id <= 900"
capture fenced_cte_fires "select" "with c as materialized (select * from orders) select * from c where customer = 7"
capture fenced_cte_silent "select" "with c as materialized (select * from orders) select * from c where region = 3"
capture sort_on_disk_fires "set work_mem = '1MB'" "select * from orders order by note"
capture sort_on_disk_silent "set work_mem = '64MB'" "select * from orders order by note"
capture hash_on_disk_fires "set work_mem = '1MB'; set enable_mergejoin = off; set enable_nestloop = off" "select count(*) from orders o join pairs p on p.id = o.id"
capture hash_on_disk_silent "set work_mem = '64MB'; set enable_mergejoin = off; set enable_nestloop = off" "select count(*) from orders o join pairs p on p.id = o.id"
capture aggregate_on_disk_fires "set work_mem = '1MB'; set enable_sort = off" "select note, count(*) from orders group by note"
capture aggregate_on_disk_silent "set work_mem = '64MB'; set enable_sort = off" "select note, count(*) from orders group by note"
capture lossy_bitmap_fires "set work_mem = '64kB'; set enable_seqscan = off" "select count(*) from orders where placed < date '2026-06-01' and note > 'a'"
capture lossy_bitmap_silent "set work_mem = '4MB'; set enable_seqscan = off; set enable_indexscan = off" "select count(*) from orders where placed < date '2026-06-01' and note > 'a'"
capture dirtying_read_fires "select" "select count(v) from fresh"
capture dirtying_read_silent "select" "select count(v) from fresh"
capture heap_fetches_fires "set enable_seqscan = off; set enable_bitmapscan = off" "select count(*) from fresh where id < 50000"
capture heap_fetches_silent "set enable_seqscan = off; set enable_bitmapscan = off" "select count(*) from settled where id < 50000"
capture missing_workers_fires "set max_parallel_workers_per_gather = 2; set max_parallel_workers = 0; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0" "select count(*) from orders where note like '%7%'"
capture missing_workers_silent "set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0" "select count(*) from orders where note like '%7%'"
if ask -c "select pg_jit_available()" | grep -q t; then
    above="set jit = on; set jit_above_cost = 0; set jit_inline_above_cost = 0; set jit_optimize_above_cost = 0"
    capture dear_compilation_fires "$above" "select region, sum(customer), min(placed) from orders where id < 3000 group by region"
    capture dear_compilation_silent "set jit = on; set jit_above_cost = 0; set work_mem = '64MB'" "select note, sum(customer) from orders o join pairs p on p.id = o.id group by note order by 2, 1"
fi
joins="select count(*) from dim1 d1"
for number in 2 3 4 5 6 7 8 9 10; do joins="$joins join dim$number d$number on d$number.id = d1.v"; done
capture dear_planning_fires "set join_collapse_limit = 12; set geqo = off" "$joins where d1.id = 5"
capture dear_planning_silent "set join_collapse_limit = 1" "$joins where d1.id = 5"
capture dear_trigger_fires "select" "delete from parent where id <= 5000"
ask -c "drop table fire.child"
capture dear_trigger_silent "select" "with gone as (delete from parent where id <= 40 returning id) select count(*) from gone, orders where note like '%1%'"
capture unpruned_partitions_fires "select" "select * from part where date_trunc('month', placed) = timestamp '2026-03-01'"
capture unpruned_partitions_silent "select" "select * from part where extract(quarter from placed) in (1, 2)"
capture wide_rows_fires "set work_mem = '128MB'" "select * from wide order by id"
capture wide_rows_silent "set work_mem = '128MB'" "select id, left(body, 20) from wide order by id"
capture misestimate_fires "set enable_hashjoin = off; set enable_mergejoin = off" "select count(*) from pairs p join orders o on o.id = p.id where p.p = 7 and p.q = 7 and p.p + p.q = 14"
capture misestimate_silent "set enable_nestloop = off" "select count(*) from pairs p join orders o on o.id = p.id where p.p = 7 and p.q = 7 and p.p + p.q = 14"
capture function_estimate_fires "select" "select count(*) from many() m join orders o on o.id = m"
capture function_estimate_silent "select" "select count(*) from declared() m join orders o on o.id = m"
# CREATE TABLE AS writes through a small ring of buffers, so that most of the table is in none of them.
ask -c "create table fire.cold as select i as id, repeat('x', 300) as v from generate_series(1, 150000) i" -c "vacuum (freeze, analyze) fire.cold"
capture cold_read_fires "select" "select count(v) from cold"
capture cold_read_silent "select" "select count(v) from cold"
