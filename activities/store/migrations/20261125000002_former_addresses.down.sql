alter table gateway_connections drop column former_address_sealed;
