//! Failures of our own infrastructure, which the caller retries later. Outcomes of payments are values, not errors.

use crate::vault::VaultError;

/// Error of the store.
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
    /// Returns the error for a column whose value this version cannot read.
    pub fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what,
            why: why.to_string(),
        }
    }

    /// Returns true if the unique index with that name rejected the row.
    pub fn violates(&self, index: &str) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(e)) if e.constraint() == Some(index))
    }
}

/// Parses an enum from a text column.
pub(crate) fn parse<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why| StoreError::corrupt(what, why))
}

/// Deserializes a value from a JSON column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    json: serde_json::Value,
) -> Result<T, StoreError> {
    serde_json::from_value(json).map_err(|why| StoreError::corrupt(what, why))
}

/// Deserializes a value from a JSON column of `row`. Returns the default if this version cannot read it: a newer version wrote it, and the
/// row's other columns stay usable.
pub(crate) fn from_json_or_default<T: serde::de::DeserializeOwned + Default>(
    (what, row): (&'static str, uuid::Uuid),
    json: serde_json::Value,
) -> T {
    serde_json::from_value(json).unwrap_or_else(|why| {
        tracing::error!(what, %row, %why, "a stored value is not readable by this version; its default is used");
        T::default()
    })
}

/// Serializes a value for a JSON column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("our own types serialize")
}
