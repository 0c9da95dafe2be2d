-- The one clock of the product. In tests the setting `orchestrator.clock_offset_ms` moves it; nothing else sets it. It is declared
-- stable, although it reads the wall clock, so that a comparison with it can use an index.
create function app_now() returns timestamptz language plpgsql stable parallel safe as $$
begin
    return clock_timestamp() + coalesce(nullif(current_setting('orchestrator.clock_offset_ms', true), ''), '0')::bigint * interval '1 millisecond';
end $$;

do $$
declare
    found record;
begin
    for found in
        select table_name, column_name from information_schema.columns
         where table_schema = current_schema() and column_default = 'now()'
         order by table_name, column_name
    loop
        execute format('alter table %I alter column %I set default app_now()', found.table_name, found.column_name);
    end loop;
end $$;
