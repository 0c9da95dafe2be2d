//! Our own infrastructure failing: the caller tries again later. Everything that can happen to a payment is a value instead.

use crate::vault::VaultError;

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("{0}")]
    Busy(&'static str),
    #[error("vault: {0}")]
    Vault(#[from] VaultError),
    #[error("stored value of {what} is not readable: {why}")]
    Corrupt { what: &'static str, why: String },
}

impl StoreError {
    /// A column that does not hold what this version writes there.
    pub fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what,
            why: why.to_string(),
        }
    }

    /// Whether a unique index of that name refused the row.
    pub fn violates(&self, index: &str) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(e)) if e.constraint() == Some(index))
    }
}

/// Reads an enum from the text that a column holds.
pub(crate) fn parse<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why| StoreError::corrupt(what, why))
}

/// Reads a value from the JSON that a column holds.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    json: serde_json::Value,
) -> Result<T, StoreError> {
    serde_json::from_value(json).map_err(|why| StoreError::corrupt(what, why))
}

/// Reads a value from the JSON that a column of `row` holds; the default where this version cannot: a newer one wrote what this
/// one does not know, and the row's other columns are as good as before.
pub(crate) fn from_json_or_default<T: serde::de::DeserializeOwned + Default>(
    (what, row): (&'static str, uuid::Uuid),
    json: serde_json::Value,
) -> T {
    serde_json::from_value(json).unwrap_or_else(|why| {
        tracing::error!(what, %row, %why, "a stored value is not readable by this version; its default is used");
        T::default()
    })
}

/// Writes a value as the JSON that a column holds.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("our own types serialize")
}
