//! The whole content of the database, decrypted with every key that is left: everything that a thief of database and keys could read.

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use store::{
    merchants, payers,
    vault::{DataKey, EncryptionContext},
};
use uuid::Uuid;

use crate::Stack;

/// A text that was found, and its column.
#[derive(Clone, Debug)]
pub struct Held {
    /// `table.column`
    pub column: String,
    pub text: String,
}

/// Limit of nested sealed values. At most two are expected: a body's key is sealed under its payers' keys.
const DEPTH: usize = 8;

impl Stack {
    /// Returns every column of every row as text. Sealed values are decrypted if their key is left.
    pub async fn dump(&self) -> Vec<Held> {
        let mut held = Vec::new();
        let keys = self.keys().await;
        let tables = self
            .texts("select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1")
            .await;
        for table in tables {
            for row in self
                .texts(&format!("select to_jsonb(t)::text from \"{table}\" t"))
                .await
            {
                let row: Map<String, Value> = serde_json::from_str(&row).expect("a row");
                for (column, value) in &row {
                    let name = format!("{table}.{column}");
                    held.push(Held {
                        column: name.clone(),
                        text: value.to_string(),
                    });
                    let Some(bytes) = value.as_str().and_then(|text| text.strip_prefix("\\x"))
                    else {
                        continue;
                    };
                    let bytes = decode(bytes);
                    held.push(Held {
                        column: name.clone(),
                        text: String::from_utf8_lossy(&bytes).into_owned(),
                    });
                    let place = self.place(&table, column, &row);
                    let own = self.own_key(&row, &keys);
                    for plain in keys
                        .iter()
                        .chain(own.as_ref())
                        .filter_map(|key| key.open(&place, &bytes).ok())
                    {
                        held.push(Held {
                            column: name.clone(),
                            text: String::from_utf8_lossy(&plain).into_owned(),
                        });
                    }
                }
            }
        }
        held
    }

    /// Returns the master key, the merchant's, and those of its payers that are left.
    async fn keys(&self) -> Vec<DataKey> {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        let merchant = self.merchant.uuid();
        let merchant_key = self.store.merchant_key(&mut db, merchant).await;
        let merchant_key = merchant_key.expect("the merchant's key");
        let mut keys = vec![self.store.master().clone(), merchant_key.clone()];
        drop(db);
        for row in self
            .texts("select id::text || ' ' || encode(data_key, 'hex') from payers where data_key is not null")
            .await
        {
            let (id, wrapped) = row.split_once(' ').expect("two columns");
            let id: Uuid = id.parse().expect("an id");
            let place = payers::key_place(merchant, id);
            keys.push(
                merchant_key
                    .unwrap(&place, &decode(wrapped))
                    .expect("a payer's key"),
            );
        }
        let place = merchants::key_place(merchant);
        for row in self
            .texts("select encode(data_key, 'hex') from merchants")
            .await
        {
            let key = self.store.master().unwrap(&place, &decode(&row));
            keys.extend(key);
        }
        keys
    }

    /// Returns the key that a row has of its own, stored wrapped beside the value that it seals.
    fn own_key(&self, row: &Map<String, Value>, keys: &[DataKey]) -> Option<DataKey> {
        let wrapped = row.get("key_sealed")?.as_str()?.strip_prefix("\\x")?;
        let place = self.place("notifications", "key_sealed", row);
        let mut layers = vec![decode(wrapped)];
        for _ in 0..DEPTH {
            let layer = layers.pop()?;
            for key in keys {
                if let Ok(key) = key.unwrap(&place, &layer) {
                    return Some(key);
                }
                layers.extend(key.open(&place, &layer).map(|inner| inner.to_vec()));
            }
        }
        None
    }

    fn place(&self, table: &str, column: &str, row: &Map<String, Value>) -> EncryptionContext {
        let id = row.get("id").or_else(|| row.get("connection_id"));
        let id = id.and_then(Value::as_str).and_then(|id| id.parse().ok());
        // leaks few: a test uses a handful of names
        let leaked = |name: &str| -> &'static str { Box::leak(name.to_owned().into_boxed_str()) };
        EncryptionContext::new(
            self.merchant.uuid(),
            leaked(table),
            leaked(column),
            id.unwrap_or_default(),
        )
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        let texts = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql.to_owned()));
        texts.fetch_all(&mut *db).await.expect("texts")
    }

    /// Returns the secret in the path of a connection's notification address.
    pub async fn path_secret(&self, id: schemas::id::ConnectionId) -> String {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        let secret = store::connections::addresses::path_secret(&mut db, &self.store, id).await;
        secret.expect("a secret").expose_secret().to_owned()
    }
}

fn decode(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
