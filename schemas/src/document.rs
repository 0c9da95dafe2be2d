//! Brazilian taxpayer numbers: CPF of a person, CNPJ of a company.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

/// JSON Schema `format` of a [`Document`]. Request validation checks it by parsing the text.
pub const FORMAT: &str = "cpf-or-cnpj";

const CPF_LEN: usize = 11;
const CNPJ_LEN: usize = 14;
/// Number of check digits, which are the last characters of both kinds.
const CHECK_LEN: usize = 2;

/// A valid CPF or CNPJ, in upper case and without punctuation.
///
/// CNPJs issued since July 2026 contain letters, so it is text everywhere and never a number. It
/// identifies a person: `Debug` redacts it, and only [`Self::masked`] may be shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Document(String);

/// Kind of a document.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DocumentKind {
    /// Number of a person: 11 digits.
    Cpf,
    /// Number of a company: 12 digits or letters, then 2 digits.
    Cnpj,
}

/// Error for a text that is neither a CPF nor a CNPJ. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// A character that this kind of document cannot contain.
    #[error("character {position} is neither a digit nor one that this document may hold")]
    Character {
        /// Position in the text as given, from 1.
        position: usize,
    },
    /// Too few or too many characters, without counting punctuation.
    #[error("a CPF has 11 characters and a CNPJ 14, this has {found}")]
    Length {
        /// Number of characters found.
        found: usize,
    },
    /// The same character throughout. The check digits of such a text can match.
    #[error("the same character all along is no {kind}")]
    Repeated {
        /// Kind implied by the length.
        kind: DocumentKind,
    },
    /// The last two digits do not match the other characters: a typing error.
    #[error("the check digits of this {kind} do not match")]
    CheckDigits {
        /// Kind implied by the length.
        kind: DocumentKind,
    },
}

impl Document {
    /// Returns the text without punctuation: 11 characters for a CPF, 14 for a CNPJ.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the kind of the document.
    pub fn kind(&self) -> DocumentKind {
        if self.0.len() == CPF_LEN {
            DocumentKind::Cpf
        } else {
            DocumentKind::Cnpj
        }
    }

    /// Returns the masked text: `***.982.247-**` or `**.222.333/****-**`.
    /// A reader can recognize a known document by it, but cannot learn an unknown one.
    pub fn masked(&self) -> String {
        match self.kind() {
            DocumentKind::Cpf => format!("***.{}.{}-**", &self.0[3..6], &self.0[6..9]),
            DocumentKind::Cnpj => format!("**.{}.{}/****-**", &self.0[2..5], &self.0[5..8]),
        }
    }
}

impl FromStr for Document {
    type Err = InvalidDocument;

    fn from_str(text: &str) -> Result<Self, InvalidDocument> {
        let mut plain = String::with_capacity(CNPJ_LEN);
        let mut first_letter = None;
        for (index, c) in text.chars().enumerate() {
            let position = index + 1;
            match c {
                '.' | '-' | '/' | ' ' => continue,
                '0'..='9' => {}
                'a'..='z' | 'A'..='Z' => first_letter = first_letter.or(Some(position)),
                _ => return Err(InvalidDocument::Character { position }),
            }
            plain.push(c.to_ascii_uppercase());
        }
        let kind = match plain.len() {
            CPF_LEN => DocumentKind::Cpf,
            CNPJ_LEN => DocumentKind::Cnpj,
            found => return Err(InvalidDocument::Length { found }),
        };
        if let (DocumentKind::Cpf, Some(position)) = (kind, first_letter) {
            return Err(InvalidDocument::Character { position });
        }
        check(&plain, kind).map(|()| Self(plain))
    }
}

/// Compares the last two characters with the check digits of the others. `plain` has the length and the alphabet of `kind`.
fn check(plain: &str, kind: DocumentKind) -> Result<(), InvalidDocument> {
    let characters = plain.as_bytes();
    if characters.iter().all(|c| *c == characters[0]) {
        return Err(InvalidDocument::Repeated { kind });
    }
    let base = characters.len() - CHECK_LEN;
    let matches = (base..characters.len())
        .all(|end| characters[end] == check_digit(&characters[..end], kind));
    if matches {
        Ok(())
    } else {
        Err(InvalidDocument::CheckDigits { kind })
    }
}

/// Returns the check digit that follows `characters`: modulo 11, with weights that grow from 2 at the right end.
/// A CPF's weights go up to 11; a CNPJ's restart at 2 after 9. The value of a character is its ASCII code minus 48.
fn check_digit(characters: &[u8], kind: DocumentKind) -> u8 {
    let weights = match kind {
        DocumentKind::Cpf => 2..=11,
        DocumentKind::Cnpj => 2..=9,
    };
    let sum = characters
        .iter()
        .rev()
        .zip(weights.cycle())
        .fold(0, |sum, (c, weight)| (sum + (c - b'0') % 11 * weight) % 11);
    if sum < 2 { b'0' } else { b'0' + 11 - sum }
}

impl TryFrom<String> for Document {
    type Error = InvalidDocument;

    fn try_from(text: String) -> Result<Self, InvalidDocument> {
        text.parse()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document([redacted])")
    }
}

impl JsonSchema for Document {
    fn schema_name() -> Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": FORMAT,
            "description": "CPF or CNPJ (alphanumeric too), with or without punctuation; returned without.",
            "examples": ["529.982.247-25", "11222333000181", "12.ABC.345/01DE-35"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Document, InvalidDocument> {
        text.parse()
    }

    #[test]
    fn valid_documents_are_taken_with_and_without_punctuation() {
        for (text, plain, kind) in [
            ("52998224725", "52998224725", DocumentKind::Cpf),
            ("249.715.637-92", "24971563792", DocumentKind::Cpf),
            ("123 456 789 09", "12345678909", DocumentKind::Cpf),
            ("11.222.333/0001-81", "11222333000181", DocumentKind::Cnpj),
            ("12.ABC.345/01DE-35", "12ABC34501DE35", DocumentKind::Cnpj),
            ("12abc34501de35", "12ABC34501DE35", DocumentKind::Cnpj),
        ] {
            let document = parsed(text).unwrap();
            assert_eq!((document.as_str(), document.kind()), (plain, kind));
        }
    }

    #[test]
    fn the_first_wrong_thing_is_named() {
        let cpf = DocumentKind::Cpf;
        for (text, error) in [
            ("", InvalidDocument::Length { found: 0 }),
            ("5299822472", InvalidDocument::Length { found: 10 }),
            ("529982247255", InvalidDocument::Length { found: 12 }),
            ("529_982_247_25", InvalidDocument::Character { position: 4 }),
            ("5299822472５", InvalidDocument::Character { position: 11 }),
            ("52998224725\n", InvalidDocument::Character { position: 12 }),
            ("5299822472O", InvalidDocument::Character { position: 11 }),
            ("52998224724", InvalidDocument::CheckDigits { kind: cpf }),
            ("11111111111", InvalidDocument::Repeated { kind: cpf }),
            (
                "12ABC34501DEA5",
                InvalidDocument::CheckDigits {
                    kind: DocumentKind::Cnpj,
                },
            ),
            (
                "00000000000000",
                InvalidDocument::Repeated {
                    kind: DocumentKind::Cnpj,
                },
            ),
        ] {
            assert_eq!(parsed(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn neither_debug_nor_the_mask_identifies_the_payer() {
        let document = parsed("52998224725").unwrap();
        assert_eq!(format!("{document:?}"), "Document([redacted])");
        assert_eq!(document.masked(), "***.982.247-**");
        assert_eq!(
            parsed("11222333000181").unwrap().masked(),
            "**.222.333/****-**"
        );
    }

    #[test]
    fn json_is_the_plain_text_and_refuses_what_is_invalid() {
        let document: Document = serde_json::from_str(r#""529.982.247-25""#).unwrap();
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#""52998224725""#
        );
        assert!(serde_json::from_str::<Document>(r#""52998224724""#).is_err());
    }

    proptest! {
        #[test]
        fn any_base_gets_two_digits_and_no_others(base in "[0-9]{9}|[0-9A-Z]{12}") {
            let kind = if base.len() == 9 { DocumentKind::Cpf } else { DocumentKind::Cnpj };
            let valid: Vec<_> = (0..100)
                .filter_map(|digits| parsed(&format!("{base}{digits:02}")).ok())
                .collect();
            prop_assume!(base.chars().any(|c| !base.starts_with(c)));
            prop_assert_eq!(valid.len(), 1);
            prop_assert_eq!(valid[0].kind(), kind);
        }

        #[test]
        fn no_text_panics_and_what_is_taken_is_already_normal(text in "\\PC{0,20}") {
            if let Ok(document) = parsed(&text) {
                prop_assert_eq!(parsed(document.as_str()), Ok(document.clone()));
            }
        }
    }
}
