create or replace function ensure_partitions(ahead integer) returns void language plpgsql as $$
declare
    parent text;
    first date;
    name text;
begin
    for month in 0..ahead loop
        first := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => month))::date;
        foreach parent in array array['events', 'deliveries', 'delivery_attempts', 'notifications'] loop
            name := format('%s_%s', parent, to_char(first, 'YYYY_MM'));
            if to_regclass(name) is null then
                begin
                    execute format('create table %I partition of %I for values from (%L) to (%L)', name, parent,
                        uuid_floor(first::timestamp at time zone 'UTC'),
                        uuid_floor((first + interval '1 month')::timestamp at time zone 'UTC'));
                exception when check_violation then
                    raise notice 'rows of % are in the default partition', name;
                end;
            end if;
        end loop;
    end loop;
end $$;
drop table sweep_marks;
