-- The address of somebody else that ours replaced at the gateway, to be given back: it may hold a secret.
alter table gateway_connections add column former_address_sealed bytea;
