do $$
declare
    found record;
begin
    for found in
        select table_name, column_name from information_schema.columns
         where table_schema = current_schema() and column_default = 'app_now()'
         order by table_name, column_name
    loop
        execute format('alter table %I alter column %I set default now()', found.table_name, found.column_name);
    end loop;
end $$;
drop function app_now;
