-- Drops indexes of Temporal's lists. The module's schema has about 74 and writes most of them for each workflow; those that the UI or our
-- queries use remain. Other queries still work, by reading the table. For psql, on the visibility database.
select format('drop index %I', indexname)
  from pg_indexes
 where tablename = 'executions_visibility'
   and indexname not in ('executions_visibility_pkey', 'default_idx', 'by_workflow_id', 'by_workflow_type', 'by_status',
                         'by_keyword_01', 'by_keyword_02', 'by_keyword_03')
 order by indexname
\gexec
