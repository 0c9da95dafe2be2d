-- the watermark of the whole connection is that of its slowest list
update gateway_connections c set caught_up_at = f.caught_up_at
  from (select connection_id, min(caught_up_at) as caught_up_at from catch_up_feeds group by connection_id) f
 where f.connection_id = c.id;
drop index payments_by_connection;
drop table catch_up_feeds;
