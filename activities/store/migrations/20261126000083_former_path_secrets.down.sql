-- A former version keeps all secrets that prove beside the connection.
update gateway_connections c
   set path_secret_hashes = c.path_secret_hashes
       || (select array_agg(f.hash order by f.replaced_at desc) from former_path_secrets f where f.connection_id = c.id)
 where exists (select from former_path_secrets f where f.connection_id = c.id);
drop table former_path_secrets;
