//! Storage of gateways that have no server of their own. It is handed in, because this crate has no database.

use async_trait::async_trait;
use serde_json::Value;

/// Failure of the storage. The caller logs its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage of the gateway's objects did not answer")]
pub struct StorageFailed;

/// Objects by key, shared by all processes.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Returns the object with that key.
    async fn get(&self, key: &str) -> Result<Option<Value>, StorageFailed>;

    /// Stores `after` if the object is still `before`; `None`: it does not exist. Returns false if another process changed it.
    async fn put(
        &self,
        key: &str,
        before: Option<&Value>,
        after: &Value,
    ) -> Result<bool, StorageFailed>;
}
