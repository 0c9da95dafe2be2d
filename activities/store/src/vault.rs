//! Encryption with AES-256-GCM under a chain of keys. The master key (configuration) wraps each merchant's data key, which wraps each
//! payer's key. Destroying a payer's key erases all values that were sealed under it.
//!
//! A sealed value is `format (1 byte) · key id (4 bytes) · nonce (12 bytes) · ciphertext and tag`. Its associated data is its context
//! (merchant, table, column, row), so that a value that was moved to another place does not open.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use rand::Rng;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// Error of opening a value.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the master key must be 32 bytes in base64")]
    MasterKey,
    #[error("the value is not in a sealed format that this version knows")]
    Format,
    #[error(
        "the value was sealed with key {found}, and this is key {ours}: is the master key the right one?"
    )]
    OtherKey { found: String, ours: String },
    #[error("the value does not open: it was altered, or belongs elsewhere")]
    Broken,
    #[error("the payer was erased")]
    Erased,
}

/// Place of a sealed value, used as associated data.
#[derive(Clone, Copy, Debug)]
pub struct EncryptionContext {
    pub merchant: Uuid,
    pub table: &'static str,
    pub column: &'static str,
    pub row: Uuid,
}

impl EncryptionContext {
    /// Creates the context of one column of one row.
    pub fn new(merchant: Uuid, table: &'static str, column: &'static str, row: Uuid) -> Self {
        Self {
            merchant,
            table,
            column,
            row,
        }
    }

    fn associated_data(&self) -> Vec<u8> {
        format!(
            "{}/{}/{}/{}",
            self.merchant, self.table, self.column, self.row
        )
        .into_bytes()
    }
}

/// 256-bit key that seals and opens values. Prints as `[redacted]`.
#[derive(Clone)]
pub struct DataKey {
    bytes: Zeroizing<[u8; 32]>,
    id: [u8; KEY_ID_BYTES],
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

impl DataKey {
    /// Reads the master key from base64.
    pub fn master(base64: &str) -> Result<Self, VaultError> {
        let bytes = STANDARD
            .decode(base64.trim())
            .map_err(|_| VaultError::MasterKey)?;
        Self::from_bytes(&bytes).ok_or(VaultError::MasterKey)
    }

    /// Creates a random key.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(bytes.as_mut_slice());
        Self::with_id(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self::with_id(Zeroizing::new(bytes.try_into().ok()?)))
    }

    fn with_id(bytes: Zeroizing<[u8; 32]>) -> Self {
        let digest = Sha256::new()
            .chain_update(b"payment-orchestrator key id")
            .chain_update(bytes.as_slice())
            .finalize();
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { bytes, id }
    }

    fn cipher(&self) -> Aes256Gcm {
        let key: &Key<Aes256Gcm> = self.bytes.as_slice().try_into().expect("32 bytes");
        Aes256Gcm::new(key)
    }

    /// Seals `plain` for `place`.
    pub fn seal(&self, place: &EncryptionContext, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: &place.associated_data(),
        };
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .expect("a value below 64 GiB");
        [&[FORMAT][..], &self.id, &nonce, &sealed].concat()
    }

    /// Opens a value that was sealed for `place`.
    pub fn open(
        &self,
        place: &EncryptionContext,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        if sealed.len() < HEADER_BYTES || sealed[0] != FORMAT {
            return Err(VaultError::Format);
        }
        let (header, body) = sealed.split_at(HEADER_BYTES);
        let (key_id, nonce) = header[1..].split_at(KEY_ID_BYTES);
        if key_id != self.id {
            return Err(VaultError::OtherKey {
                found: hex::encode(key_id),
                ours: hex::encode(self.id),
            });
        }
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| VaultError::Format)?;
        let payload = Payload {
            msg: body,
            aad: &place.associated_data(),
        };
        let plain = self
            .cipher()
            .decrypt(&Nonce::from(nonce), payload)
            .map_err(|_| VaultError::Broken)?;
        Ok(Zeroizing::new(plain))
    }

    /// Seals another key.
    pub fn wrap(&self, place: &EncryptionContext, key: &Self) -> Vec<u8> {
        self.seal(place, key.bytes.as_slice())
    }

    /// Opens a wrapped key.
    pub fn unwrap(&self, place: &EncryptionContext, wrapped: &[u8]) -> Result<Self, VaultError> {
        Self::from_bytes(&self.open(place, wrapped)?).ok_or(VaultError::Format)
    }

    /// Returns a keyed digest. Equal inputs can be recognized without being stored.
    pub fn digest(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.bytes.as_slice()).expect("any key length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(data);
        mac.finalize().into_bytes().into()
    }
}

/// Returns an unkeyed digest of a secret that is itself long and random: API keys, path secrets.
pub fn fingerprint(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(row: u128) -> EncryptionContext {
        EncryptionContext::new(Uuid::nil(), "payers", "data_key", Uuid::from_u128(row))
    }

    #[test]
    fn a_value_opens_only_with_its_key_and_in_its_place() {
        let key = DataKey::random();
        let sealed = key.seal(&place(1), b"Maria");
        assert_eq!(
            key.open(&place(1), &sealed).expect("opens").as_slice(),
            b"Maria"
        );
        assert!(matches!(
            key.open(&place(2), &sealed),
            Err(VaultError::Broken)
        ));
        assert!(matches!(
            DataKey::random().open(&place(1), &sealed),
            Err(VaultError::OtherKey { .. })
        ));
        assert!(matches!(
            key.open(&place(1), &sealed[..9]),
            Err(VaultError::Format)
        ));
        let mut altered = sealed.clone();
        *altered.last_mut().expect("a tag") ^= 1;
        assert!(matches!(
            key.open(&place(1), &altered),
            Err(VaultError::Broken)
        ));
    }

    #[test]
    fn keys_wrap_keys_and_print_nothing() {
        let (master, merchant) = (DataKey::random(), DataKey::random());
        let wrapped = master.wrap(&place(1), &merchant);
        let again = master.unwrap(&place(1), &wrapped).expect("opens");
        assert_eq!(
            again.digest("document", b"x"),
            merchant.digest("document", b"x")
        );
        assert_ne!(
            again.digest("document", b"x"),
            merchant.digest("idempotency", b"x")
        );
        assert_eq!(format!("{merchant:?}"), "DataKey([redacted])");
    }

    #[test]
    fn a_master_key_of_the_wrong_size_is_refused() {
        assert!(matches!(
            DataKey::master("c2hvcnQ="),
            Err(VaultError::MasterKey)
        ));
        assert!(matches!(
            DataKey::master("not base64!"),
            Err(VaultError::MasterKey)
        ));
    }
}
